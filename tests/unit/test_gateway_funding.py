"""Whether stored funding is all there is, and how stored numbers are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.funding import HOUR_MS, covers
from gateway.texts import eight_decimals

T0 = 1_791_331_200_000


def at(*hours: int) -> list[int]:
    return [T0 + hour * HOUR_MS for hour in hours]


@pytest.mark.parametrize(
    ("hours", "until"),
    [((0, 8, 16), 20), ((0, 4, 8, 12), 15), ((0, 8, 12, 13, 14), 22), ((6,), 9)],
    ids=["each 8 h", "each 4 h", "changed on the way", "one"],
)
def test_settlements_at_most_eight_hours_apart_are_complete(hours: tuple[int, ...], until: int) -> None:
    assert covers(at(*hours), T0, T0 + until * HOUR_MS)


@pytest.mark.parametrize(
    ("hours", "until"),
    [((0, 16), 20), ((9,), 10), ((0, 8), 17), ((), 9)],
    ids=["a hole", "a late begin", "an early end", "nothing"],
)
def test_a_longer_pause_means_that_something_is_missing(hours: tuple[int, ...], until: int) -> None:
    assert not covers(at(*hours), T0, T0 + until * HOUR_MS)


def test_the_jitter_of_settlement_times_is_no_hole() -> None:
    assert covers([T0 + 3, T0 + 8 * HOUR_MS + 2, T0 + 16 * HOUR_MS], T0, T0 + 24 * HOUR_MS + 2)


@given(units=st.integers(0, 10**14))
def test_a_stored_price_is_written_with_the_exchanges_own_decimals(units: int) -> None:
    text = f"{units // 10**8}.{units % 10**8:08d}"
    assert eight_decimals(float(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-7.43e-06, "-0.00000743"),
        (0.0, "0.00000000"),
        (-0.0, "0.00000000"),
        (1e-4, "0.00010000"),
        (1e-10, "0.0000000001"),
    ],
)
def test_a_stored_rate_is_written_with_eight_decimals_and_never_fewer_than_are_stored(value: float, text: str) -> None:
    assert eight_decimals(value) == text
