"""The simulated exchange through its control API, which costs no weight: clock, faults, log, truth."""

import ssl
import time
from types import TracebackType
from typing import Any, Self

import aiohttp

from tools.demo.compare import Row
from tools.demo.exchange_truth import ListedPair, candle_of, eligible


class Simulated:
    """A running simulator. `seconds` is its time from `midnight_ms`."""

    def __init__(self, url: str, ca_file: str, midnight_ms: int) -> None:
        self.url = url
        self.ca_file = ca_file
        self.midnight_ms = midnight_ms
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file)),
            timeout=aiohttp.ClientTimeout(total=60),
        )
        self._offset_ms = 0.0

    async def __aenter__(self) -> Self:
        state = await self._ask("GET", "/_control/state")
        self._offset_ms = state["now_ms"] - time.monotonic() * 1000
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._session.close()

    def now_ms(self) -> int:
        """The exchange's time."""
        return int(time.monotonic() * 1000 + self._offset_ms)

    def seconds(self) -> float:
        """The exchange's time in seconds from midnight."""
        return (self.now_ms() - self.midnight_ms) / 1000

    async def symbols(self) -> list[str]:
        """Return the eligible symbols, busiest first."""
        symbols: list[str] = (await self._ask("GET", "/_control/state"))["pairs"]
        return symbols

    async def listed(self) -> list[ListedPair]:
        """Return the pairs that exchangeInfo lists as eligible. This is a request: it is in the log with weight 1."""
        return eligible(await self._ask("GET", "/fapi/v1/exchangeInfo"))

    async def fault(self, kind: str, **parameters: object) -> None:
        """Activate a fault."""
        await self._ask("POST", "/_control/faults", {"kind": kind, **parameters})

    async def heal(self) -> None:
        """End all faults."""
        await self._ask("DELETE", "/_control/faults")

    async def log(self) -> list[dict[str, Any]]:
        """Return the requests of each address in each minute."""
        entries: list[dict[str, Any]] = await self._ask("GET", "/_control/log")
        return entries

    async def candles(self, symbol: str, interval: str, first_open_ms: int, last_open_ms: int) -> dict[int, Row]:
        """Return the true candles that open from first to last, both included."""
        query = f"symbol={symbol}&interval={interval}&start={first_open_ms}&end={last_open_ms}"
        rows = await self._ask("GET", f"/_control/truth?{query}") if first_open_ms <= last_open_ms else []
        return {row[0]: candle_of(row) for row in rows}

    async def settlements(self, symbol: str, first_ms: int, last_ms: int) -> dict[int, tuple[float, float]]:
        """Return what a symbol really settled from first to last, both included: rate and mark price by time."""
        rows = await self._ask("GET", f"/_control/settled?symbol={symbol}&start={first_ms}&end={last_ms}")
        return {row["fundingTime"]: (float(row["fundingRate"]), float(row["markPrice"])) for row in rows}

    async def rest(self, path: str) -> Any:
        """Return the exchange's response to a request. It is in the log, with its weight."""
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, body: object = None) -> Any:
        async with self._session.request(method, self.url + path, json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"simulator: {method} {path} {body or ''}: {await answer.text()}")
            return await answer.json()
