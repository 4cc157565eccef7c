"""Parses Binance's responses into typed rows.

Every `read_*` raises MalformedRow if a response is not what Binance documents; extra fields are ignored.
"""

from __future__ import annotations

from typing import Any

from exchange.rows import FundingInfo, FundingRate, Kline, MalformedRow, MarkPriceKline, PremiumIndex

_KLINE_TYPES = (int, str, str, str, str, str, int, str, int, str, str)


def read_klines(answer: Any) -> list[Kline]:
    """Read the arrays of /fapi/v1/klines. Raises MalformedRow.

    If at least one row is as documented, every row whose times can be read is returned, whatever its other columns
    contain: an impossible row (see `flaw`) must not spoil the other rows of its response.
    """
    rows = _rows(answer)
    if any(_is_documented(row) for row in rows):
        return [Kline(*_placed(row)) for row in rows]
    return [Kline(*_columns(row)) for row in rows]


def read_mark_price_klines(answer: Any) -> list[MarkPriceKline]:
    """Read the arrays of /fapi/v1/markPriceKlines; their volume columns are meaningless. Raises MalformedRow."""
    return [
        MarkPriceKline(kline.open_time_ms, kline.open, kline.high, kline.low, kline.close, kline.close_time_ms)
        for kline in (Kline(*_columns(row)) for row in _rows(answer))
    ]


def read_funding_rates(answer: Any) -> list[FundingRate]:
    """Read the objects of /fapi/v1/fundingRate. Raises MalformedRow."""
    return [
        FundingRate(
            _text(row, "symbol"), _int(row, "fundingTime"), _text(row, "fundingRate"), row.get("markPrice") or None
        )
        for row in map(_object, _rows(answer))
    ]


def read_funding_info(answer: Any) -> list[FundingInfo]:
    """Read the objects of /fapi/v1/fundingInfo: adjusted symbols, including COIN-M ones. Raises MalformedRow.

    A symbol that is not listed there settles every 8 h.
    """
    rows = [FundingInfo(_text(row, "symbol"), _int(row, "fundingIntervalHours")) for row in map(_object, _rows(answer))]
    for row in rows:
        if row.interval_hours < 1:
            raise MalformedRow(f"fundingIntervalHours is below 1 in {_excerpt(row)}")
    return rows


def read_premium_index(answer: Any) -> list[PremiumIndex]:
    """Read /fapi/v1/premiumIndex: an object for one symbol, a list for all. Raises MalformedRow."""
    return [
        PremiumIndex(
            _text(row, "symbol"),
            _text(row, "markPrice"),
            _text(row, "indexPrice"),
            row.get("lastFundingRate") or None,
            _int(row, "nextFundingTime"),
            _int(row, "time"),
            row.get("estimatedSettlePrice") or None,
            row.get("interestRate") or None,
        )
        for row in map(_object, _rows([answer] if isinstance(answer, dict) else answer))
    ]


def _rows(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise MalformedRow(f"expected a list of rows, not {_excerpt(answer)}")
    return answer


def _placed(row: Any) -> list[Any]:
    if not isinstance(row, list) or len(row) < len(_KLINE_TYPES) or not type(row[0]) is type(row[6]) is int:
        raise MalformedRow(f"not a kline: {_excerpt(row)}")
    columns: list[Any] = row[: len(_KLINE_TYPES)]
    return columns


def _is_documented(row: Any) -> bool:
    return isinstance(row, list) and [type(column) for column in row[: len(_KLINE_TYPES)]] == list(_KLINE_TYPES)


def _columns(row: Any) -> list[Any]:
    if not _is_documented(row):
        raise MalformedRow(f"not a kline: {_excerpt(row)}")
    return _placed(row)


def _object(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise MalformedRow(f"expected an object, not {_excerpt(row)}")
    return row


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value:
        raise MalformedRow(f"{key} is missing or not text in {_excerpt(row)}")
    return value


def _int(row: dict[str, Any], key: str) -> int:
    value = row.get(key)
    if type(value) is not int:
        raise MalformedRow(f"{key} is missing or not an integer in {_excerpt(row)}")
    return value


def _excerpt(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
