"""A candle copied from one store to another is the same candle."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from collector.repair.elsewhere import values_of
from marketdata.candle_values import CandleValues
from marketdata.serializer import candle_line, read_candle
from marketdata.timeframes import BASE_MS

OPEN_MS = 1_790_000_100_000 // BASE_MS * BASE_MS
AMOUNTS = st.decimals("0", "99999999999", places=8)
PRICES = st.decimals("0.00000001", "9999999", places=8)


def stored(line: str) -> dict[str, float | None]:
    """The floats that InfluxDB parses from a line's fields."""
    found = (field.partition("=") for field in line.split(" ")[1].split(","))
    floats = {name: float(text.rstrip("i")) for name, _, text in found}
    return {name: floats.get(name) for name in CandleValues._fields}


@given(st.lists(PRICES, min_size=4, max_size=4), st.lists(AMOUNTS, min_size=4, max_size=4), st.integers(0, 10**9))
def test_a_copied_candle_is_parsed_to_the_same_numbers(
    prices: list[Decimal], amounts: list[Decimal], trades: int
) -> None:
    low, first, last, high = (f"{price:f}" for price in sorted(prices))
    base, all_base, quote, all_quote = (f"{amount:f}" for amount in (*sorted(amounts[:2]), *sorted(amounts[2:])))
    values = CandleValues(first, high, low, last, all_base, all_quote, base, quote, trades)
    if not trades:
        values = CandleValues(last, last, last, last, "0", "0.000", "0", "0", 0)
    line = candle_line("ohlcv_3m", "BTC/USDT:USDT", OPEN_MS, values, now_ms=OPEN_MS)
    copied = candle_line("ohlcv_3m", "BTC/USDT:USDT", OPEN_MS, values_of(stored(line)), now_ms=OPEN_MS)
    assert stored(copied) == stored(line)
    assert read_candle(copied) is not None
