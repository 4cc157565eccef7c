"""Looks again for candles that memory has as absent: in the stores, and at the exchange if no collector does.

A collector reports a late candle when it comes; a gateway that missed the report would never know.
"""

import asyncio
from collections.abc import Callable, Mapping

from exchange.again import Again
from gateway.api.answers import Refused
from gateway.memory.memory import CONFIRMED, FROM_STORE, Memory, PairState
from gateway.memory.rows import Row
from gateway.memory.windows import BASE
from gateway.past.fetched import Fetched
from gateway.past.stored import Stored
from marketdata.timeframes import BASE_MS

STORE_SECONDS = 600.0
"""Time between two queries of the stores."""


class LookAgain:
    """`streaming` returns whether any collector is streaming candles now: then it is the one that asks the exchange."""

    def __init__(self, memory: Memory, stored: Stored, fetched: Fetched, *, streaming: Callable[[], bool]) -> None:
        self._memory = memory
        self._stored = stored
        self._fetched = fetched
        self._streaming = streaming
        self._absences: dict[str, dict[int, Again]] = {}

    async def run(self) -> None:
        """Look again until cancelled; never raises because of a store or the exchange."""
        while True:
            self.note()
            await asyncio.sleep(STORE_SECONDS)
            for state in list(self._memory.pairs.values()):
                if state.absent:
                    await self.look(state)

    def note(self) -> None:
        """Start counting for what is absent now, and forget what no longer is."""
        now_ms = self._memory.exchange_time_ms()
        self._absences = {
            symbol: {at: self._absences.get(symbol, {}).get(at) or Again(now_ms) for at in state.absent}
            for symbol, state in self._memory.pairs.items()
            if state.absent
        }

    async def look(self, state: PairState) -> None:
        """Look for the candles a pair lacks."""
        info = self._memory.symbols.get(state.symbol)
        absent = sorted(state.absent)
        if info is None or not absent:
            return
        rows = await self._stored.windows(info, BASE, absent[0], absent[-1] + BASE_MS)
        self._learn(state, rows, FROM_STORE)
        now_ms, known = self._memory.exchange_time_ms(), self._absences.setdefault(state.symbol, {})
        due = [at for at in sorted(state.absent) if at in known and known[at].is_due(now_ms)]
        if not due or self._streaming():
            return
        try:
            found = await self._fetched.windows(state.symbol, BASE, due)
        except Refused:
            return
        known.update({at: known[at].asked_at(now_ms) for at in due})
        self._learn(state, found.rows, CONFIRMED)
        self._memory.learn_absent(state, (), invalid=found.invalid)

    def _learn(self, state: PairState, rows: Mapping[int, Row], worth: int) -> None:
        self._memory.learn_rows(state, [(at, text) for at, text in rows.items() if at in state.absent], worth)
