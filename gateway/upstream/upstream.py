"""Requests for what is not stored, sent to the exchange once for all bots: coalesced, shared, and within the budget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exchange.binance import limits
from exchange.budget import Priority
from exchange.client import ExchangeClient
from exchange.errors import BadRequest, ExchangeError, Unavailable
from exchange.errors import Refused as ExchangeRefused
from gateway.api.answers import Answer, Refused, bad_request, not_now
from gateway.upstream.freshness import REPEATED_PERCENT, Rhythm, policy_of, shared, stretch
from service.single_flight import SingleFlight

log = logging.getLogger(__name__)

#: How long a request waits for the exchange's response; ccxt gives up after 10 s. One second is enough if an older
#: response may be served; while the exchange gives none, that one is served at once.
PATIENCE_SECONDS = 5.0
PATIENCE_WITH_LAST_GOOD_SECONDS = 1.0
#: How long after a failure the exchange counts as down.
AWAY_MS = 5_000
#: A request that waits longer than this for its turn is withdrawn; the bots that sent it were answered long ago.
LONGEST_SECONDS = 20.0
#: Size of the bodies kept; the least recently requested ones are dropped first.
KEPT_BYTES = 64 * 2**20

_RECOUNT_MS = 1_000

type Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class UpstreamSnapshot:
    """For metrics. `answers_total` by route and outcome: asked, coalesced, shared, stale, refused."""

    answers_total: dict[tuple[str, str], int]
    kept: int
    kept_bytes: int
    stretch: float


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    at_ms: int


class Upstream:
    """One process's requests to the exchange on behalf of the bots.

    Give it a client whose circuit has no patience (``patience_seconds=0``): during a ban bots are refused at once.
    `monotonic_ms` is the clock that ages are measured with.
    """

    def __init__(
        self,
        client: ExchangeClient,
        *,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        patience_seconds: float = PATIENCE_SECONDS,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._client = client
        self._now_ms = monotonic_ms
        self._patience_seconds = patience_seconds
        self._most_bytes = kept_bytes
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._under_way = SingleFlight[Key, _Kept](self._failed)
        self._rhythms: dict[Key, Rhythm] = {}
        self._stretch = 1.0
        self._counted_ms = -_RECOUNT_MS
        self._away_until_ms = -1
        self._answers_total: Counter[tuple[str, str]] = Counter()

    async def get(
        self,
        route: str,
        params: Mapping[str, str],
        *,
        fresh_ms: int | None = None,
        age_limit_ms: int | None = None,
        priority: Priority = Priority.UNIVERSE,
    ) -> Answer:
        """Return the exchange's response to a GET of `route`: requested now, just now for others, or recently.

        `fresh_ms` and `age_limit_ms` replace the route's own (`freshness.policy_of`), and such responses are shared for
        exactly that long. Raises Refused: the exchange's own 400, or 429 if there is no response that is young enough.
        """
        key = _key(route, params)
        policy = policy_of(route)
        limit_ms = policy.age_limit_ms if age_limit_ms is None else age_limit_ms
        if fresh_ms is None:
            self._listen(key, params)
            fresh_ms = round(shared(policy, self._stretch))
        kept = self._kept.get(key)
        if kept is not None and self._age_ms(kept) <= fresh_ms:
            return self._answer(key, kept, "shared")
        outcome = "coalesced" if key in self._under_way else "asked"
        servable = kept is not None and self._age_ms(kept) <= limit_ms
        task = self._under_way.task(key, self._ask(key, params, priority))
        await asyncio.wait({task}, timeout=self._patience(servable=servable))
        if task.done() and not task.cancelled() and task.exception() is None:
            return self._answer(key, task.result(), outcome)
        if kept is not None and self._age_ms(kept) <= limit_ms:
            return self._answer(key, kept, "stale")
        self._answers_total[route, "refused"] += 1
        raise self._refusal(task)

    def peek(self, route: str, params: Mapping[str, str]) -> Answer | None:
        """Return the response that `get` would share right now, without counting or sending a request."""
        kept = self._kept.get(_key(route, params))
        if kept is None or self._age_ms(kept) > shared(policy_of(route), self._stretch):
            return None
        return Answer(kept.body, age_ms=self._age_ms(kept), state="upstream")

    def questions(self, route: str) -> int:
        """Return how many different requests bots send for a route at present."""
        return sum(key[0] == route for key in self._rhythms)

    def snapshot(self) -> UpstreamSnapshot:
        """Return the counters for metrics."""
        return UpstreamSnapshot(dict(self._answers_total), len(self._kept), self._bytes, self._stretch)

    async def close(self) -> None:
        """Cancel everything in progress."""
        await self._under_way.close()

    def _patience(self, *, servable: bool) -> float:
        if not servable:
            return self._patience_seconds
        away = self._now_ms() < self._away_until_ms
        return 0.0 if away else min(PATIENCE_WITH_LAST_GOOD_SECONDS, self._patience_seconds)

    async def _ask(self, key: Key, params: Mapping[str, str], priority: Priority) -> _Kept:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                body = await self._client.raw(key[0], params, priority=priority)
        except TimeoutError:
            raise Unavailable(
                f"{key[0]} did not get a turn within {LONGEST_SECONDS:.0f} s", "check the budget's share"
            ) from None
        self._away_until_ms = -1
        kept = _Kept(body, self._now_ms())
        self._keep(key, kept)
        return kept

    def _failed(self, key: Key, error: BaseException) -> None:
        if not isinstance(error, ExchangeError):
            log.error("request to the exchange failed route=%s", key[0], exc_info=error)
            return
        if not isinstance(error, BadRequest):
            self._away_until_ms = self._now_ms() + AWAY_MS
        log.debug('request to the exchange failed route=%s error="%s"', key[0], error)

    def _keep(self, key: Key, kept: _Kept) -> None:
        before = self._kept.pop(key, None)
        self._bytes += len(kept.body) - (0 if before is None else len(before.body))
        self._kept[key] = kept
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1].body)

    def _listen(self, key: Key, params: Mapping[str, str]) -> None:
        """Update the rhythm of a request, and once a second how long responses are shared."""
        now = self._now_ms()
        rhythm = self._rhythms.get(key)
        if rhythm is None:
            self._rhythms[key] = Rhythm(limits.weight(key[0], params), policy_of(key[0]), now)
        else:
            rhythm.ask(now)
        if now - self._counted_ms >= _RECOUNT_MS:
            self._counted_ms = now
            self._rhythms = {key: rhythm for key, rhythm in self._rhythms.items() if not rhythm.ended(now)}
            allowed = self._client.budget.snapshot().share * REPEATED_PERCENT / 100
            self._stretch = stretch(self._rhythms.values(), allowed, now)

    def _answer(self, key: Key, kept: _Kept, outcome: str) -> Answer:
        self._answers_total[key[0], outcome] += 1
        if key in self._kept:
            self._kept.move_to_end(key)
        return Answer(kept.body, age_ms=self._age_ms(kept), state="last-good" if outcome == "stale" else "upstream")

    def _age_ms(self, kept: _Kept) -> int:
        return self._now_ms() - kept.at_ms

    def _refusal(self, task: asyncio.Task[_Kept]) -> Refused:
        """What a bot receives: the exchange's own 400, else 429."""
        error = task.exception() if task.done() and not task.cancelled() else None
        if isinstance(error, BadRequest):
            return bad_request(error.code, error.reason)
        if isinstance(error, ExchangeRefused):
            return not_now(f"the exchange refuses this address ({error.status})", error.retry_after_seconds)
        if error is not None:
            return not_now("the exchange does not respond", AWAY_MS / 1000)
        to_next_minute = 60 - self._client.budget.clock.now_ms() / 1000 % 60
        return not_now("no response in time: the minute's weight is spent, or the exchange is slow", to_next_minute)


def _key(route: str, params: Mapping[str, str]) -> Key:
    return route, tuple(sorted(params.items()))
