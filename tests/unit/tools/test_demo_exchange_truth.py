"""The check's own reading of the exchange: its pairs, and a weight that stays small."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tools.demo.exchange_truth import WeightMeter, eligible, pages

RECORDED = Path(__file__).parents[2] / "data" / "binance_usdm_2026-10" / "rest" / "exchange_info.json"
MINUTE_MS = 60_000


def symbol(**changed: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "symbol": "BTCUSDT",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "underlyingType": "COIN",
        "quantityPrecision": 3,
        "onboardDate": 1_569_398_400_000,
    }
    return {**usual, **changed}


def test_only_usdt_perpetuals_on_coins_that_trade_are_eligible() -> None:
    others = [
        symbol(contractType="TRADIFI_PERPETUAL"),
        symbol(contractType="CURRENT_QUARTER"),
        symbol(status="SETTLING"),
        symbol(quoteAsset="USDC", marginAsset="USDC"),
        symbol(underlyingType="INDEX"),
        symbol(underlyingType="PREMARKET"),
    ]
    found = eligible({"symbols": [*others, symbol()]})
    assert [(pair.symbol, pair.pair, pair.quantity_precision) for pair in found] == [("BTCUSDT", "BTC/USDT:USDT", 3)]


def test_the_recorded_exchange_info_is_read() -> None:
    found = eligible(json.loads(RECORDED.read_text(encoding="utf-8")))
    assert found
    assert all(pair.pair.endswith("/USDT:USDT") and pair.listed_ms > 0 for pair in found)


@given(st.integers(0, 5_000))
def test_pages_bring_exactly_the_rows_and_never_weigh_more_than_pages_of_1000(rows: int) -> None:
    found = pages(rows)
    assert sum(limit for limit, _ in found) == rows
    assert all(weight == (1 if limit < 100 else 2) and 0 < limit < 500 for limit, weight in found)
    assert sum(weight for _, weight in found) <= max(5 * -(-rows // 1_000), 0)


def test_49_hours_of_3m_candles_weigh_4() -> None:
    assert sum(weight for _, weight in pages(980)) == 4


def test_the_meter_stops_at_80_percent_and_goes_on_in_the_next_utc_minute() -> None:
    meter = WeightMeter(2_400)
    now_ms = 10 * MINUTE_MS + 20_000
    meter.observe(1_918, now_ms)
    assert meter.wait_ms(2, now_ms) == 0
    assert meter.wait_ms(1, now_ms) == 40_500
    assert meter.wait_ms(1, now_ms + 40_500) == 0


def test_the_meter_counts_what_others_spend_on_the_same_address() -> None:
    meter = WeightMeter(2_400)
    assert meter.wait_ms(5, 0) == 0
    meter.observe(1_920, 1_000)
    assert meter.wait_ms(5, 2_000) > 0
