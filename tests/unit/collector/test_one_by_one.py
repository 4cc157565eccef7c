"""Requests pair by pair: a failure for one pair does not affect the others; an exchange that is down gets a pause."""

import pytest

from collector.history.one_by_one import FAILURES_AT_MOST, one_by_one
from exchange.errors import BadRequest, ExchangeError, Refused, Unavailable

PAIRS = [f"P{number}/USDT:USDT" for number in range(12)]
NO = BadRequest(-1121, "Invalid symbol.", "correct the symbol")
BROKEN = Unavailable("not JSON", "wait")
AWAY = Refused(429, 30, "too many requests", "wait")


async def asked_when(errors: dict[str, ExchangeError]) -> tuple[list[str], ExchangeError | None]:
    asked = []

    async def ask(pair: str) -> None:
        asked.append(pair)
        if pair in errors:
            raise errors[pair]

    try:
        await one_by_one("rates", PAIRS, ask)
    except ExchangeError as error:
        return asked, error
    return asked, None


async def test_a_pair_that_the_exchange_refuses_is_skipped_and_the_others_are_requested() -> None:
    assert await asked_when({PAIRS[0]: NO, PAIRS[5]: NO}) == (PAIRS, None)


async def test_a_pair_without_a_usable_response_is_reported_at_the_end() -> None:
    assert await asked_when({PAIRS[0]: BROKEN, PAIRS[7]: BROKEN}) == (PAIRS, BROKEN)


@pytest.mark.parametrize(("errors", "asked"), [({PAIRS[2]: AWAY}, 3), (dict.fromkeys(PAIRS, BROKEN), FAILURES_AT_MOST)])
async def test_an_exchange_that_is_down_or_refuses_us_gets_no_further_requests(
    errors: dict[str, ExchangeError], asked: int
) -> None:
    pairs, error = await asked_when(errors)
    assert (len(pairs), error) == (asked, errors[PAIRS[2]])
