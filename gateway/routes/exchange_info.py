"""/fapi/v1/exchangeInfo: from collectors, else by REST, and on disk: bots can start while the exchange is down."""

import asyncio
import contextlib
import gzip
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from exchange.binance import limits
from exchange.universe import Universe
from gateway.api.answers import AGE_LIMIT_MS, Answer, Query, Refused, State, json_bytes, not_now
from gateway.memory.memory import Memory
from gateway.upstream.upstream import Upstream
from service.durable_files import write_durably

log = logging.getLogger(__name__)

FILE = "exchange_info.json"
_LOOK_SECONDS = 5.0
_REFRESH_SECONDS = 60.0
#: How long before a body is rebuilt with a newer `serverTime`; the exchange's own is hours old (recorded ones).
_BODY_MS = 60_000


def listed(memory: Memory) -> Universe:
    """Return what the exchange lists. Raises Refused while that is unknown: no symbol is wrong then.

    A symbol may be in it (`in`) but not among its `symbols`: its row cannot be read. Its requests are forwarded.
    """
    if memory.universe.empty:
        raise not_now("the exchange's symbols are not known yet", 5)
    return memory.universe


class ExchangeInfoRoute:
    """The route for exchangeInfo. `load` it, `run` it, then get its `answer`.

    `streaming` returns whether a collector reports changes; without one the exchange is asked every minute.
    """

    def __init__(self, memory: Memory, upstream: Upstream, state_dir: Path, *, streaming: Callable[[], bool]) -> None:
        self._memory = memory
        self._upstream = upstream
        self._file = state_dir / FILE
        self._streaming = streaming
        self._confirmed: float | None = None  # monotonic seconds
        self._due = 0.0
        self._failing = False
        self._saved_version = 0
        self._built: tuple[int, int, Answer] | None = None

    def load(self) -> bool:
        """Read what an earlier run left on disk; False if there is nothing usable."""
        try:
            self._memory.learn_exchange_info(msgspec.json.decode(self._file.read_bytes(), type=dict))
            age_seconds = max(time.time() - self._file.stat().st_mtime, 0.0)
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            log.warning('saved exchangeInfo unreadable file=%s error="%s"', self._file, error)
            return False
        self._confirmed = time.monotonic() - age_seconds
        self._saved_version = self._memory.exchange_info_version
        return True

    async def run(self) -> None:
        """Ask the exchange while no collector is streaming, and save what is new, until cancelled."""
        while True:
            now = time.monotonic()
            if self._streaming():
                self._confirmed = now
            if now >= self._due:
                if not self._streaming():
                    await self._ask()
                self._due = now + (_LOOK_SECONDS if self._memory.exchange_info is None else _REFRESH_SECONDS)
                self._confirm_on_disk()
            if self._memory.exchange_info_version != self._saved_version:
                await self._save()
            await asyncio.sleep(_LOOK_SECONDS)

    async def answer(self, _query: Query) -> Answer:
        """Return exchangeInfo as received from the exchange, except for `serverTime`."""
        if self._memory.exchange_info is None:
            await self._ask()
        info = self._memory.exchange_info
        if info is None:
            raise not_now("the exchange's symbols are not known yet", 5)
        version, now_ms = self._memory.exchange_info_version, self._memory.exchange_time_ms()
        if self._built is None or self._built[0] != version or not 0 <= now_ms - self._built[1] < _BODY_MS:
            body = json_bytes(info | {"serverTime": now_ms})
            packed = await asyncio.to_thread(gzip.compress, body, 6)
            self._built = version, now_ms, Answer(body, gzipped=packed)
        built = self._built[2]
        return Answer(built.body, age_ms=self.age_ms(), state=self._state(), gzipped=built.gzipped)

    def age_ms(self) -> int | None:
        """How long ago the exchange or a collector last confirmed this state; None if nobody has yet."""
        if self._streaming():
            return 0
        return None if self._confirmed is None else round((time.monotonic() - self._confirmed) * 1000)

    def _state(self) -> State:
        if self._streaming():
            return "live"
        age_ms = self.age_ms()
        return "upstream" if age_ms is not None and age_ms < AGE_LIMIT_MS else "last-good"

    async def _ask(self) -> None:
        try:
            answer = await self._upstream.get(limits.EXCHANGE_INFO, {})
            info = msgspec.json.decode(answer.body, type=dict)
        except (Refused, msgspec.DecodeError) as error:
            if not self._failing:
                log.warning('exchangeInfo not available serving=last-known error="%s"', error)
            self._failing = True
            return
        self._failing = False
        self._confirmed = time.monotonic() - (answer.age_ms or 0) / 1000
        known = self._memory.exchange_info
        if known is None or info | {"serverTime": 0} != known | {"serverTime": 0}:
            try:
                self._memory.learn_exchange_info(info)
            except ValueError as error:
                log.warning('malformed exchangeInfo error="%s"', error)

    def _confirm_on_disk(self) -> None:
        """The file's time is when its content was last known to be right."""
        if self._confirmed is None or time.monotonic() - self._confirmed > _REFRESH_SECONDS:
            return
        with contextlib.suppress(OSError):  # not there yet, or not ours to touch: `_save` logs it
            os.utime(self._file)

    async def _save(self) -> None:
        version, info = self._memory.exchange_info_version, self._memory.exchange_info
        try:
            await asyncio.to_thread(write_durably, self._file, json_bytes(info))
        except OSError as error:
            log.warning('exchangeInfo not saved file=%s error="%s"', self._file, error)
        self._saved_version = version
