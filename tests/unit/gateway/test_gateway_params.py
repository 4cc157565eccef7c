"""Parameters as Binance reads them: the codes of its documentation."""

import pytest

from gateway.api import params
from gateway.api.answers import Refused

KNOWN = {"BTCUSDT", "币安人生USDT"}


def code_of(call: object) -> int:
    with pytest.raises(Refused) as refused:
        call()  # type: ignore[operator]
    assert refused.value.status == 400
    return refused.value.code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": ""}, -1105),
        ({"limit": "ten"}, -1100),
        ({"limit": "-1"}, -1100),
        ({"limit": "٣"}, -1100),
        ({"limit": "0"}, -1130),
        ({"limit": "1501"}, -1130),
    ],
)
def test_a_wrong_limit_is_refused_with_the_exchanges_code(query: dict[str, str], code: int) -> None:
    assert code_of(lambda: params.limit(query, default=500, most=1500)) == code


def test_a_missing_limit_has_its_default() -> None:
    assert params.limit({}, default=500, most=1500) == 500
    assert params.limit({"limit": "1500"}, default=500, most=1500) == 1500


def test_symbols_are_accepted_in_any_case_and_script() -> None:
    assert params.symbol({"symbol": "btcUSDT"}, KNOWN) == "BTCUSDT"
    assert params.symbol({"symbol": "币安人生usdt"}, KNOWN) == "币安人生USDT"
    assert code_of(lambda: params.symbol({"symbol": "XUSDT"}, KNOWN)) == -1121
    assert code_of(lambda: params.symbol({}, KNOWN)) == -1102
    assert params.optional_symbol({"symbol": ""}, KNOWN) is None


def test_a_symbol_is_found_as_the_exchange_writes_it_before_it_is_capitalized() -> None:
    known = {"T$USDT", "kBONKUSDT", "STRAßEUSDT", "KBONKUSDT2"}
    for symbol in known:
        assert params.symbol({"symbol": symbol}, known) == symbol
    assert params.symbol({"symbol": "t$usdt"}, known) == "T$USDT"


@pytest.mark.parametrize("interval", ["1m", "3m", "6m", "1h", "21h", "1d", "3d", "1w", "1M"])
def test_intervals_of_the_exchange_and_multiples_of_3m_are_served(interval: str) -> None:
    assert params.interval({"interval": interval}) == interval


@pytest.mark.parametrize("interval", ["1s", "4m", "25h", "2d", "1W", "3"])
def test_other_intervals_are_refused(interval: str) -> None:
    assert code_of(lambda: params.interval({"interval": interval})) == -1120


def test_an_interval_may_be_refused_by_configuration() -> None:
    assert code_of(lambda: params.interval({"interval": "1m"}, {"1m", "5m"})) == -1120


def test_a_span_may_not_end_before_it_starts() -> None:
    assert params.span({"startTime": "5", "endTime": "5"}) == (5, 5)
    assert code_of(lambda: params.span({"startTime": "6", "endTime": "5"})) == -1023


@pytest.mark.parametrize("name", ["startTime", "endTime", "limit"])
@pytest.mark.parametrize(
    "text", ["1767225600000.0", "1767225600000.5", "1.7e12", "NaN", "true", "-1", " 5", "2026-01-01"]
)
def test_a_time_or_limit_is_only_digits_as_at_the_exchange(name: str, text: str) -> None:
    assert code_of(lambda: params.integer({name: text}, name)) == -1100


def test_a_time_in_another_unit_is_taken_as_milliseconds_as_at_the_exchange() -> None:
    """The exchange returns candles from the first one on; the gateway must not respond differently."""
    assert params.span({"startTime": "1767225600", "endTime": "1767225600000000"}) == (1767225600, 1767225600000000)
