"""Which store is next: the newest hours of every store, then each store completely, then its newest part repeatedly."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from collector.repair.contracts import Contracts
from collector.repair.fill import FillState
from collector.repair.repair import Incomplete, StoreRepair, Symbols, in_time
from collector.store.query import StoreError
from exchange.errors import ExchangeError
from service.backoff import Backoff
from service.progress import shown

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 30.0


class Repairer:
    """Checks every store: completely at startup and once a day, its newest part every few minutes.

    One store after the other: what was fetched for one is delivered to all, so no other lacks it. ``symbols`` are the
    watched pairs; the mapping changes when pairs are added or dropped.
    """

    def __init__(
        self,
        stores: Sequence[StoreRepair],
        symbols: Symbols,
        contracts: Contracts,
        *,
        every_seconds: float,
        wall_seconds: Callable[[], float],
    ) -> None:
        self.stores = stores
        self.state = FillState()
        self.last_pass_seconds = {store.name: 0.0 for store in stores}
        self._symbols = symbols
        self._contracts = contracts
        self._every_seconds = every_seconds
        self._wall_seconds = wall_seconds
        self._soon = asyncio.Event()
        self._due = dict.fromkeys((store.name for store in stores), 0.0)
        self._backoffs = {store.name: Backoff(FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS) for store in stores}

    @property
    def known(self) -> set[str]:
        """The pairs whose newest hours are in at least one store."""
        return set().union(*(store.known for store in self.stores))

    def look_soon(self) -> None:
        """Begin the next pass now: there is a new pair to fill."""
        self._soon.set()

    async def run(self) -> None:
        """Fill and repair until cancelled."""
        seconds = asyncio.get_running_loop().time
        current: set[str] = set()
        filled: set[str] = set()
        while True:
            # The newest hours of all stores come before the long history of any.
            for store in self._due_now():
                if store.name not in current and await self._succeeds(store, self._newest(store)):
                    current.add(store.name)
            for store in self._due_now():
                if await self._succeeds(store, self._whole(store, first=store.name not in filled)):
                    filled.add(store.name)
                    self.last_pass_seconds[store.name] = self._wall_seconds()
                    self._due[store.name] = seconds() + self._every_seconds
            if len(filled) == len(self.stores) and not self.state.done:
                self.state.stage = "done"
                log.info("fill complete candles=%d windows=%d", self.state.candles_fetched, self.state.windows_fetched)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(self._due.values()) - seconds())):
                    await self._soon.wait()
                self._soon.clear()
                self._due = dict.fromkeys(self._due, seconds())

    def _due_now(self) -> list[StoreRepair]:
        now = asyncio.get_running_loop().time()
        return [store for store in self.stores if self._due[store.name] <= now]

    async def _succeeds(self, store: StoreRepair, work: Awaitable[None]) -> bool:
        """Do the work; return False if it could not be completed: the store's next turn comes a little later."""
        backoff = self._backoffs[store.name]
        try:
            await work
        except (Incomplete, StoreError) as error:
            if not backoff.failures:
                log.warning('repair failed store=%s error="%s"', store.name, error)
            self._due[store.name] = asyncio.get_running_loop().time() + backoff.next_seconds()
            return False
        backoff.reset()
        return True

    async def _newest(self, store: StoreRepair) -> None:
        with store.rollups.held():  # it re-rolls them itself, once
            await store.newest(dict(self._symbols), self._counted_again())

    async def _whole(self, store: StoreRepair, *, first: bool) -> None:
        try:
            await self._contracts.learn()  # where a pair begins limits what a store must hold
        except ExchangeError as error:
            raise Incomplete(f"the exchange does not report where pairs begin: {error}") from error
        if first:
            await self._fill(store)
        else:
            await store.run(dict(self._symbols), FillState())

    async def _fill(self, store: StoreRepair) -> None:
        """The first pass over a store: its progress is shown, and it is rolled up once everything is delivered."""
        state = self._counted_again()

        def progress() -> tuple[int, int]:
            return state.candles_fetched + state.windows_fetched, state.candles_missing + state.windows_missing

        with store.rollups.held():
            async with shown(f"fill {store.name}", "rows", progress):
                await store.run(dict(self._symbols), state)
        await in_time(store.rollups.rolled(), f"the roll-up of store {store.name}")

    def _counted_again(self) -> FillState:
        """Return the state, with everything that an earlier attempt left unsettled to be counted again."""
        state = self.state
        state.candles_missing, state.windows_missing = state.candles_fetched, state.windows_fetched
        return state
