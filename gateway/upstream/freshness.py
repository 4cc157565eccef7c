"""How long an answer of the exchange is shared by all bots, and how old it may become. Pure.

Sixty order books each 2 s would be 3,600 weight a minute, where the whole address has 2,400. So answers are shared for
as long as the route is usually good for, and for longer once what the bots ask for would cost more than may be spent:
every route in the same proportion, and none beyond the age at which it does more harm than no answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.binance import limits

MINUTE_MS = 60_000

#: Of what this process may spend in a minute, the part that repeated questions may take: history and the candles
#: nobody stores come on top and cannot be foreseen.
REPEATED_PERCENT = 75

#: Once asked, a question is taken to come again after this long, until its rhythm is known. Silent for longer: ended.
UNKNOWN_SPACING_MS = 60_000

_LONGEST_STRETCH = 4096.0


@dataclass(frozen=True, slots=True)
class Policy:
    """`fresh_ms`: shared for so long while the budget allows it. `age_limit_ms`: never served when older than this."""

    fresh_ms: int
    age_limit_ms: int


#: An order book is what freqtrade prices its orders by: after half a minute a typical pair has moved by more than its
#: spread, and a bot that is told to wait (429) loses one look at it, where an old book would cost money.
_BOOK = Policy(2_000, 30_000)
#: Tickers feed pair lists and dashboards; ten minutes is the platform's limit for served data.
_PRICE = Policy(2_000, 600_000)
_DAY = Policy(15_000, 600_000)
#: Changes with the exchange's announcements.
_INFO = Policy(60_000, 600_000)
#: Served from the store and from /stream; what is asked here is what these do not hold.
_OTHER = Policy(5_000, 600_000)

_POLICIES = {
    limits.DEPTH: _BOOK,
    limits.TICKER_PRICE: _PRICE,
    limits.TICKER_BOOK: _PRICE,
    limits.TICKER_24HR: _DAY,
    limits.EXCHANGE_INFO: _INFO,
    limits.FUNDING_INFO: _INFO,
    limits.PREMIUM_INDEX: _DAY,
}


def policy_of(route: str) -> Policy:
    """Return how long answers of a route are shared."""
    return _POLICIES.get(route, _OTHER)


@dataclass(slots=True)
class Rhythm:
    """How often one question comes: its weight, when it came last, and the usual time between two."""

    weight: int
    policy: Policy
    last_ms: int
    spacing_ms: float | None = None

    def ask(self, now_ms: int) -> None:
        """It comes again. The newest spacing counts for three tenths."""
        spacing_ms = now_ms - self.last_ms
        self.spacing_ms = spacing_ms if self.spacing_ms is None else 0.7 * self.spacing_ms + 0.3 * spacing_ms
        self.last_ms = now_ms

    def ended(self, now_ms: int) -> bool:
        """Whether it has not come for so long that nobody seems to ask any more."""
        return now_ms - self.last_ms > 2 * UNKNOWN_SPACING_MS

    def cost(self, stretch: float, now_ms: int) -> float:
        """The weight a minute it costs if its answers are shared `stretch` times as long as usual."""
        usual_ms = UNKNOWN_SPACING_MS if self.spacing_ms is None else self.spacing_ms
        shared_ms = shared(self.policy, stretch)
        return self.weight * MINUTE_MS / max(usual_ms, now_ms - self.last_ms, shared_ms)


def shared(policy: Policy, stretch: float) -> float:
    """Return for how many ms an answer is shared."""
    return min(policy.fresh_ms * stretch, policy.age_limit_ms)


def stretch(rhythms: Iterable[Rhythm], weight_a_minute: float, now_ms: int) -> float:
    """Return the least factor, 1 or more, by which all answers are shared longer so that the cost keeps to the weight.

    Where no factor does, answers live to their age limits.
    """
    asked = list(rhythms)

    def fits(factor: float) -> bool:
        return sum(rhythm.cost(factor, now_ms) for rhythm in asked) <= weight_a_minute

    if fits(1.0):
        return 1.0
    low, high = 1.0, _LONGEST_STRETCH
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high
