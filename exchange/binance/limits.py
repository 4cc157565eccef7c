"""What a REST request costs under Binance's limits, and what a response reports about them. Pure.

Source: "Request Weight" on each page under Binance, USDS-M Futures, Market Data Endpoints
(https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api). Measured on the live
exchange on 2026-10-07: a kline request without `limit` costs 5, and one of exactly 100 rows costs 1 where the
documentation says 2. This table has the higher of the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from exchange.budget import CONFIRM_RESERVE_PERCENT
from exchange.limits import Limits, Refusal

type Params = Mapping[str, str | int]

PING = "/fapi/v1/ping"
TIME = "/fapi/v1/time"
EXCHANGE_INFO = "/fapi/v1/exchangeInfo"
KLINES = "/fapi/v1/klines"
MARK_PRICE_KLINES = "/fapi/v1/markPriceKlines"
PREMIUM_INDEX = "/fapi/v1/premiumIndex"
FUNDING_RATE = "/fapi/v1/fundingRate"
FUNDING_INFO = "/fapi/v1/fundingInfo"
TICKER_24HR = "/fapi/v1/ticker/24hr"
TICKER_PRICE = "/fapi/v1/ticker/price"
TICKER_BOOK = "/fapi/v1/ticker/bookTicker"
DEPTH = "/fapi/v1/depth"

#: These cost no weight: instead they share a limit of 500 requests per 5 minutes and IP ("Get Funding Rate History").
FUNDING_ROUTES = frozenset({FUNDING_RATE, FUNDING_INFO})

#: The most rows of one kline request (-1130 above), and of one funding-history request.
MAX_KLINES = 1500
MAX_FUNDING_RATES = 1000

#: The numbers of levels that "Order Book" allows; up to 50 they cost the same.
DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)

#: A larger page that costs more weight, for when the number of requests is the bottleneck; and the budget's pace.
LONG_PAGE = 1000
REQUESTS_A_MINUTE = 600

#: The `limit` of a kline request that returns the most history per weight: 499 rows for a weight of 2.
BEST_KLINES_LIMIT = 499


def weight(route: str, params: Params) -> int:
    """Return the request weight (per IP and minute) of a GET of `route`, for example ``/fapi/v1/klines``.

    Funding routes cost 0, see `FUNDING_ROUTES`. Raises ValueError for a route that is not in the table: a request of
    unknown cost must not be sent.
    """
    try:
        cost = _TABLE[route]
    except KeyError:
        raise ValueError(f"no weight is known for {route}: add it to {__name__} with its source") from None
    return cost(params)


def page_limit(rows: int, largest: int = BEST_KLINES_LIMIT) -> int:
    """Return the `limit` of the next kline request when `rows` more are wanted: as little weight as possible.

    `largest` is the maximum. The default is the cheapest by weight; 1000 costs a quarter more weight but half the
    requests, which pays off where the number of requests is the bottleneck (long histories).
    """
    return max(1, min(rows, largest, MAX_KLINES))


def page_rows(share: int) -> int:
    """Return the page size for months of history at this share (weight per minute).

    It is the cheapest by weight, or 1,000 where the budget's pace (10 requests a second) is the bottleneck.
    """
    usable = share * (100 - CONFIRM_RESERVE_PERCENT) // 100
    weight_of_best = 2
    return LONG_PAGE if usable // weight_of_best > REQUESTS_A_MINUTE else BEST_KLINES_LIMIT


def _klines(params: Params) -> int:
    limit = int(params.get("limit", 500))
    if limit < 100:
        return 1
    if limit < 500:
        return 2
    return 5 if limit <= 1000 else 10


def _depth(params: Params) -> int:
    limit = int(params.get("limit", 500))
    if limit <= 50:
        return 2
    if limit <= 100:
        return 5
    return 10 if limit <= 500 else 20


def _one_or_all(one: int, every: int) -> Callable[[Params], int]:
    return lambda params: one if "symbol" in params else every


_TABLE: Mapping[str, Callable[[Params], int]] = MappingProxyType(
    {
        PING: lambda _: 1,
        TIME: lambda _: 1,
        EXCHANGE_INFO: lambda _: 1,
        KLINES: _klines,
        MARK_PRICE_KLINES: _klines,
        PREMIUM_INDEX: _one_or_all(1, 10),
        TICKER_24HR: _one_or_all(1, 40),
        TICKER_PRICE: _one_or_all(1, 2),
        TICKER_BOOK: _one_or_all(2, 5),
        DEPTH: _depth,
        FUNDING_RATE: lambda _: 0,
        FUNDING_INFO: lambda _: 0,
    }
)

#: Every route that may be requested.
ROUTES = tuple(_TABLE)

#: 403: firewall; 418: ban for continuing after 429; 429: over the limit; 451: wrong country (Binance, "General Info").
REFUSING_STATUSES = frozenset({403, 418, 429, 451})

_BANNED_UNTIL_MS = re.compile(r"banned until (\d{13})\b")


def read_refusal(status: int, retry_after: str | None, body: str, now_ms: int) -> Refusal | None:
    """Return the refusal in a response, or None if its status is not one.

    `retry_after` is the header, in seconds or as an HTTP date; `body` may say "IP(..) banned until <ms>". The later of
    the two counts. `now_ms` is the exchange's time.
    """
    if status not in REFUSING_STATUSES:
        return None
    named = []
    if retry_after is not None and (seconds := _retry_after_seconds(retry_after, now_ms)) is not None:
        named.append(seconds)
    if match := _BANNED_UNTIL_MS.search(body):
        named.append((int(match[1]) - now_ms) / 1000)
    return Refusal(status, max(named)) if named else Refusal(status, None)


def _retry_after_seconds(text: str, now_ms: int) -> float | None:
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - now_ms / 1000
    except (ValueError, OverflowError):
        return None


def read_limits(status: int, headers: Mapping[str, str], body: bytes, now_ms: int) -> Limits:
    """Read the headers (and a ban's body) of a response; `now_ms` is the exchange's time, used if `Date` is missing."""
    used = headers.get("X-MBX-USED-WEIGHT-1M", "")
    date_ms = _date_ms(headers.get("Date"))
    refusal = read_refusal(
        status, headers.get("Retry-After"), body.decode(errors="replace"), now_ms if date_ms is None else date_ms
    )
    return Limits(int(used) if used.isascii() and used.isdigit() else None, date_ms, refusal)


def _date_ms(text: str | None) -> int | None:
    try:
        return round(parsedate_to_datetime(text or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
