"""The weight table, and the page size that gets the most history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.limits import KLINES, MAX_KLINES, page_limit, weight


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, 1), (99, 1), (100, 2), (499, 2), (500, 5), (1000, 5), (1001, 10), (1500, 10)]
)
@pytest.mark.parametrize("route", ["/fapi/v1/klines", "/fapi/v1/markPriceKlines"])
def test_the_cost_of_klines_depends_on_their_limit(route: str, limit: int, expected: int) -> None:
    assert weight(route, {"symbol": "BTCUSDT", "interval": "3m", "limit": limit}) == expected


def test_klines_without_a_limit_cost_as_much_as_the_exchange_charges() -> None:
    assert weight(KLINES, {"symbol": "BTCUSDT", "interval": "3m"}) == 5


@pytest.mark.parametrize(
    ("limit", "expected"), [(5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1000, 20), (None, 10)]
)
def test_the_cost_of_an_order_book_depends_on_its_levels(limit: int | None, expected: int) -> None:
    params = {"symbol": "BTCUSDT"} | ({} if limit is None else {"limit": str(limit)})
    assert weight("/fapi/v1/depth", params) == expected


@pytest.mark.parametrize(
    ("route", "one", "every"),
    [
        ("/fapi/v1/premiumIndex", 1, 10),
        ("/fapi/v1/ticker/24hr", 1, 40),
        ("/fapi/v1/ticker/price", 1, 2),
        ("/fapi/v1/ticker/bookTicker", 2, 5),
    ],
)
def test_a_request_for_all_symbols_costs_more_than_for_a_single_one(route: str, one: int, every: int) -> None:
    assert weight(route, {"symbol": "BTCUSDT"}) == one
    assert weight(route, {}) == every


@pytest.mark.parametrize("route", ["/fapi/v1/ping", "/fapi/v1/time", "/fapi/v1/exchangeInfo"])
def test_general_requests_cost_one(route: str) -> None:
    assert weight(route, {}) == 1


@pytest.mark.parametrize("route", ["/fapi/v1/fundingRate", "/fapi/v1/fundingInfo"])
def test_funding_costs_no_weight(route: str) -> None:
    assert weight(route, {}) == 0


def test_a_route_of_unknown_weight_is_not_requested() -> None:
    with pytest.raises(ValueError, match="/fapi/v1/order"):
        weight("/fapi/v1/order", {"symbol": "BTCUSDT"})


@pytest.fixture(scope="module")
def least_weight() -> list[int]:
    """The least weight of any mix of pages for 0, 1, 2 .. rows, by dynamic programming over the exchange's tiers."""
    steps = ((99, 1), (499, 2), (1000, 5), (1500, 10))
    least = [0]
    for rows in range(1, 4_001):
        least.append(min(least[max(0, rows - size)] + cost for size, cost in steps))
    return least


@given(rows=st.integers(1, 4_000))
def test_pages_fetch_a_range_for_the_least_weight_of_any_mix_of_limits(rows: int, least_weight: list[int]) -> None:
    spent, left = 0, rows
    while left > 0:
        limit = page_limit(left)
        spent += weight(KLINES, {"limit": limit})
        left -= limit
    assert spent == least_weight[rows]


@given(rows=st.integers(-5, 5_000), largest=st.integers(1, 3_000))
def test_a_page_never_asks_for_more_than_is_wanted_or_allowed(rows: int, largest: int) -> None:
    assert 1 <= page_limit(rows, largest) <= max(1, min(rows, largest, MAX_KLINES))
