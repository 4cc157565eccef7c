"""Asks REST for every close the stream did not bring in time: late, missing, lost over a reconnect or a restart.

What REST does not have, or has as a row that cannot be a candle, is owed no more: the pair goes on without it, and the
ledger asks again.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

from collector.delivery.quarantine import Quarantine
from collector.ingest.finality import is_final
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.budget import Priority
from exchange.errors import ExchangeError
from exchange.events import CANDLE_MS, candle_from_kline
from exchange.facts import Facts
from exchange.rows import Kline, flaw
from exchange.universe import Instrument
from marketdata.serializer import Unserializable
from marketdata.thresholds import CLOSE_DEADLINE_MS
from marketdata.timeframes import BASE_TIMEFRAME
from service.backoff import Backoff

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Besides the moments at which closes fall due: of pairs that are asked again, and of what contradicts."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0

INVALID_ANSWERS = 3
"""So often a row that cannot be a candle is asked for again at once (within 3 s): REST may be about to mend it."""

type Told = Literal["final", "invalid", "absent", "later"]
"""What an answer says of a candle: here it is, it cannot be one, there is none, or nothing yet."""


def told_of(asked: Iterable[int], rows: Sequence[Kline], exchange_time_ms: int) -> Iterator[tuple[int, Told]]:
    """Yield what an answer says of each candle that was asked for, by open time. Pure.

    A later row proves that a missing one does not exist.
    """
    found = {row.open_time_ms: row for row in rows}
    newest_ms = max(found, default=0)
    for open_ms in asked:
        row = found.get(open_ms)
        if row is None:
            yield open_ms, "absent" if newest_ms > open_ms else "later"
        elif not is_final(row, exchange_time_ms):
            yield open_ms, "later"
        else:
            yield open_ms, "invalid" if flaw(row) else "final"


def seconds_to_deadline(exchange_time_ms: int) -> float:
    """How long until the next candles are overdue: bots wait for the one whose closing frame is missing."""
    return (CANDLE_MS - (exchange_time_ms - CLOSE_DEADLINE_MS) % CANDLE_MS) / 1000


class Candles(Protocol):
    """Where closes are asked for; `ExchangeClient` asks the exchange."""

    @property
    def facts(self) -> Facts:
        """The numbers of the exchange."""

    async def klines(self, symbol: str, interval: str, *, limit: int, start_ms: int, priority: Priority) -> list[Kline]:
        """Return up to ``limit`` candles from ``start_ms`` on, oldest first. Raises ExchangeError."""


class Confirmer:
    """Polls what is overdue and confirms it pair by pair; a pair that cannot be confirmed yet waits a little longer.

    ``watched`` is read as it changes.
    """

    def __init__(
        self,
        ingest: Ingest,
        client: Candles,
        watched: Mapping[str, Instrument],
        clock: ExchangeClock,
        quarantine: Quarantine,
    ) -> None:
        self.absent = 0
        self._ingest = ingest
        self._client = client
        self._watched = watched
        self._clock = clock
        self._quarantine = quarantine
        self._invalid_answers: Counter[tuple[str, int]] = Counter()
        self._busy: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        self._not_before: dict[str, float] = {}
        self._trouble = False

    async def run(self) -> None:
        """Confirm until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                for pair, opens in self._ingest.finality.overdue(self._clock.now_ms()).items():
                    if pair not in self._busy and self._not_before.get(pair, 0.0) <= loop.time():
                        self._busy.add(pair)
                        group.create_task(self._confirm(pair, opens))
                await asyncio.sleep(min(POLL_SECONDS, seconds_to_deadline(self._clock.now_ms())))

    async def _confirm(self, pair: str, opens: list[int]) -> None:
        try:
            settled = await self._ask(pair, opens)
            if self._trouble:
                self._trouble = False
                log.info("closes are confirmed by REST again")
        except ExchangeError as error:
            settled = False
            if not self._trouble:
                self._trouble = True
                log.warning("closes cannot be confirmed by REST: %s", error)
        except Unserializable as error:  # no fault of the row's: see told_of
            settled = False
            log.warning("REST row cannot be stored pair=%s: %s", pair, error)
        finally:
            self._busy.discard(pair)
        if settled:
            self._backoffs.pop(pair, None)
            self._not_before.pop(pair, None)
        else:
            backoff = self._backoffs.setdefault(pair, Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS))
            self._not_before[pair] = asyncio.get_running_loop().time() + backoff.next_seconds()

    async def _ask(self, pair: str, opens: list[int]) -> bool:
        """Ask for the owed candles from the oldest on; True if each asked one is settled now."""
        first_ms = opens[0]
        last_ms = min(opens[-1], first_ms + (self._client.facts.cheapest_rows - 2) * CANDLE_MS)
        asked = [open_ms for open_ms in opens if open_ms <= last_ms]
        # One row more than owed: a later row proves that a missing one does not exist.
        limit = (last_ms - first_ms) // CANDLE_MS + 2
        rows = await self._client.klines(
            self._watched[pair].symbol, BASE_TIMEFRAME, limit=limit, start_ms=first_ms, priority=Priority.CONFIRM
        )
        if pair not in self._ingest.finality.pairs:
            return True  # it was left meanwhile
        now_ms = self._clock.now_ms()
        found = {row.open_time_ms: row for row in rows}
        settled, invalid = True, []
        for open_ms, told in told_of(asked, rows, now_ms):
            match told:
                case "final":
                    candle = candle_from_kline(pair, found[open_ms], final=True, exchange_time_ms=now_ms)
                    self._ingest.on_rest_candle(candle)
                case "absent":
                    self.absent += 1
                    self._ingest.absent(pair, open_ms)
                    log.warning("the exchange has no candle pair=%s open_ms=%d", pair, open_ms)
                case "invalid":
                    settled &= self._give_up(pair, open_ms)
                    invalid.append(found[open_ms])
                case "later":
                    settled = False
            if told != "invalid":
                self._invalid_answers.pop((pair, open_ms), None)
        for row in invalid:  # only now: while a disk is waited for, the pair may be left
            await self._quarantine.keep(pair, BASE_TIMEFRAME, row, flaw(row))
        return settled

    def _give_up(self, pair: str, open_ms: int) -> bool:
        """All REST has is a row that cannot be a candle. True once it was asked often enough: the pair goes on."""
        self._invalid_answers[pair, open_ms] += 1
        if self._invalid_answers[pair, open_ms] < INVALID_ANSWERS:
            return False
        del self._invalid_answers[pair, open_ms]
        self._ingest.absent(pair, open_ms, invalid=True)
        return True
