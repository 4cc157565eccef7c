"""How long responses are shared: long enough for the budget, but no longer than they are useful."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.freshness import Policy, Rhythm, policy_of, shared, stretch

NOW_MS = 1_000_000
BOOK = policy_of("/fapi/v1/depth")


def rhythm(weight: int, spacing_ms: int, policy: Policy = BOOK) -> Rhythm:
    return Rhythm(weight, policy, NOW_MS, spacing_ms)


def spent(rhythms: list[Rhythm], factor: float) -> float:
    return sum(one.cost(factor, NOW_MS) for one in rhythms)


def test_a_few_order_books_are_shared_no_longer_than_usual() -> None:
    assert stretch([rhythm(2, 5_000) for _ in range(5)], 360, NOW_MS) == 1.0


def test_sixty_order_books_are_requested_as_often_as_the_budget_allows() -> None:
    books = [rhythm(2, 500) for _ in range(60)]
    assert spent(books, 1.0) == pytest.approx(3_600)
    factor = stretch(books, 360, NOW_MS)
    assert spent(books, factor) == pytest.approx(360, rel=0.01)
    assert shared(BOOK, factor) == pytest.approx(20_000, rel=0.01)


def test_a_book_is_never_shared_beyond_its_age_limit_whatever_it_costs() -> None:
    factor = stretch([rhythm(2, 500) for _ in range(600)], 100, NOW_MS)
    assert shared(BOOK, factor) == 30_000


def test_a_request_seen_once_is_assumed_to_come_once_a_minute() -> None:
    assert Rhythm(2, BOOK, NOW_MS).cost(1.0, NOW_MS) == 2


def test_a_request_that_no_longer_comes_costs_less_and_less() -> None:
    one = rhythm(2, 5_000)
    assert one.cost(1.0, NOW_MS) > one.cost(1.0, NOW_MS + 30_000) > one.cost(1.0, NOW_MS + 90_000)
    assert one.ended(NOW_MS + 121_000)


def test_a_rhythm_follows_the_requests() -> None:
    one = Rhythm(2, BOOK, NOW_MS)
    for at in range(NOW_MS + 5_000, NOW_MS + 60_001, 5_000):
        one.ask(at)
    assert one.spacing_ms == pytest.approx(5_000)


@given(
    asked=st.lists(st.tuples(st.sampled_from([1, 2, 5, 40]), st.integers(1, 120_000)), max_size=40),
    allowed=st.floats(1, 2_000),
)
def test_the_cost_stays_within_the_weight_unless_everything_is_as_old_as_allowed(
    asked: list[tuple[int, int]], allowed: float
) -> None:
    rhythms = [rhythm(weight, spacing) for weight, spacing in asked]
    factor = stretch(rhythms, allowed, NOW_MS)
    assert factor >= 1
    assert spent(rhythms, factor) <= allowed or shared(BOOK, factor) == BOOK.age_limit_ms
    if factor > 1.01:
        assert spent(rhythms, factor * 0.99) > allowed
