"""How long a response of the exchange is shared by all bots, and how old it may become. Pure.

Sixty order books every 2 s would be 3,600 weight a minute, while the whole address has 2,400. So responses are shared
for as long as is normal for the route, and longer once the bots' requests would cost more than may be spent: all routes
in the same proportion, and none beyond the age at which it does more harm than no response.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from exchange.binance import limits

MINUTE_MS = 60_000

#: The part of this process's weight per minute that repeated requests may use: history and candles that nobody stores
#: come on top and cannot be predicted.
REPEATED_PERCENT = 75

#: A request seen once is assumed to come again after this long, until its rhythm is known. After twice that, it ended.
UNKNOWN_SPACING_MS = 60_000

_LONGEST_STRETCH = 4096.0


@dataclass(frozen=True, slots=True)
class Policy:
    """`fresh_ms`: how long it is shared while the budget allows it. `age_limit_ms`: never served when older."""

    fresh_ms: int
    age_limit_ms: int


#: freqtrade prices its orders by the order book: after half a minute a typical pair has moved by more than its spread.
#: A bot that has to wait (429) loses one look at it, while an old book would cost money.
_BOOK = Policy(2_000, 30_000)
#: Tickers feed pair lists and dashboards; ten minutes is the platform's limit for served data.
_PRICE = Policy(2_000, 600_000)
_DAY = Policy(15_000, 600_000)
#: Changes only with the exchange's announcements.
_INFO = Policy(60_000, 600_000)
#: Served from the store and from /stream; only what these do not have is requested here.
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
    """Return how long responses of a route are shared."""
    return _POLICIES.get(route, _OTHER)


@dataclass(slots=True)
class Rhythm:
    """How often one request comes: its weight, when it last came, and the usual time in between."""

    weight: int
    policy: Policy
    last_ms: int
    spacing_ms: float | None = None

    def ask(self, now_ms: int) -> None:
        """Record that it came again. The newest spacing counts for three tenths."""
        spacing_ms = now_ms - self.last_ms
        self.spacing_ms = spacing_ms if self.spacing_ms is None else 0.7 * self.spacing_ms + 0.3 * spacing_ms
        self.last_ms = now_ms

    def ended(self, now_ms: int) -> bool:
        """Whether it has not come for so long that apparently nobody sends it any more."""
        return now_ms - self.last_ms > 2 * UNKNOWN_SPACING_MS

    def cost(self, stretch: float, now_ms: int) -> float:
        """The weight per minute it costs if its responses are shared `stretch` times as long as usual."""
        usual_ms = UNKNOWN_SPACING_MS if self.spacing_ms is None else self.spacing_ms
        shared_ms = shared(self.policy, stretch)
        return self.weight * MINUTE_MS / max(usual_ms, now_ms - self.last_ms, shared_ms)


def shared(policy: Policy, stretch: float) -> float:
    """Return for how many ms a response is shared."""
    return min(policy.fresh_ms * stretch, policy.age_limit_ms)


def stretch(rhythms: Iterable[Rhythm], weight_a_minute: float, now_ms: int) -> float:
    """Return the smallest factor, at least 1, by which all responses must be shared longer to stay within the weight.

    If no factor is enough, responses are shared up to their age limits.
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
