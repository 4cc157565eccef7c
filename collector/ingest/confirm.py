"""Requests from REST every close the stream did not deliver in time: late, missing, lost over a reconnect or restart.

A candle that REST does not have, or only has as an impossible row, is no longer expected: the pair continues without
it, and the ledger requests it again later.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from collector.delivery.quarantine import Quarantine
from collector.ingest.finality import is_final
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from exchange.budget import Priority
from exchange.client import Candles
from exchange.errors import ExchangeError
from exchange.events import CANDLE_MS, candle_from_kline
from exchange.rows import Kline, flaw
from exchange.universe import Instrument
from marketdata.serializer import Unserializable
from marketdata.thresholds import CLOSE_DEADLINE_MS
from marketdata.timeframes import BASE_TIMEFRAME
from service.backoff import Backoff

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""How often to look, besides the moments at which closes fall due: for retried pairs and for contradictions."""

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0

INVALID_ANSWERS = 3
"""How often an impossible row is requested again right away (within 3 s), since REST may be about to correct it."""

type Told = Literal["final", "invalid", "absent", "later"]
"""What a response means for a candle: it has it, its row is impossible, there is none, or nothing yet."""


def told_of(asked: Iterable[int], rows: Sequence[Kline], exchange_time_ms: int) -> Iterator[tuple[int, Told]]:
    """Yield what a response means for each requested candle, by open time. Pure.

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
    """Return how long until the next candles are overdue: bots wait for the one whose closing frame is missing."""
    return (CANDLE_MS - (exchange_time_ms - CLOSE_DEADLINE_MS) % CANDLE_MS) / 1000


class Confirmer:
    """Polls for overdue candles and confirms them pair by pair; a pair that cannot be confirmed yet waits longer.

    ``watched`` changes while it runs.
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
                log.info("REST confirms closes again")
        except ExchangeError as error:
            settled = False
            if not self._trouble:
                self._trouble = True
                log.warning('close confirmation failed error="%s"', error)
        except Unserializable as error:  # not the row's fault: see told_of
            settled = False
            log.warning('REST candle not storable pair=%s error="%s"', pair, error)
        finally:
            self._busy.discard(pair)
        if settled:
            self._backoffs.pop(pair, None)
            self._not_before.pop(pair, None)
        else:
            backoff = self._backoffs.setdefault(pair, Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS))
            self._not_before[pair] = asyncio.get_running_loop().time() + backoff.next_seconds()

    async def _ask(self, pair: str, opens: list[int]) -> bool:
        """Request the overdue candles from the oldest on; return True if every requested one is settled now."""
        first_ms = opens[0]
        last_ms = min(opens[-1], first_ms + (self._client.facts.cheapest_rows - 2) * CANDLE_MS)
        asked = [open_ms for open_ms in opens if open_ms <= last_ms]
        # One row more than needed: a later row proves that a missing one does not exist.
        limit = (last_ms - first_ms) // CANDLE_MS + 2
        rows = await self._client.klines(
            self._watched[pair].symbol, BASE_TIMEFRAME, limit=limit, start_ms=first_ms, priority=Priority.CONFIRM
        )
        if pair not in self._ingest.finality.pairs:
            return True  # it was dropped meanwhile
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
                    log.warning("candle missing at exchange pair=%s open_ms=%d", pair, open_ms)
                case "invalid":
                    settled &= self._give_up(pair, open_ms)
                    invalid.append(found[open_ms])
                case "later":
                    settled = False
            if told != "invalid":
                self._invalid_answers.pop((pair, open_ms), None)
        for row in invalid:  # only now, since the pair may be dropped while this waits for the disk
            await self._quarantine.keep(pair, BASE_TIMEFRAME, row, flaw(row))
        return settled

    def _give_up(self, pair: str, open_ms: int) -> bool:
        """REST only has an impossible row. Return True once it was requested often enough: the pair continues."""
        self._invalid_answers[pair, open_ms] += 1
        if self._invalid_answers[pair, open_ms] < INVALID_ANSWERS:
            return False
        del self._invalid_answers[pair, open_ms]
        self._ingest.absent(pair, open_ms, invalid=True)
        return True
