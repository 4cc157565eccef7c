"""Reads the gateway by plain REST, as a bot does, and compares it with the exchange's candles."""

from types import TracebackType
from typing import Self

import aiohttp

from tools.demo.compare import BASE, LENGTH_MS, Row, Rows
from tools.demo.exchange_truth import ExchangeFailed, candle_of

LIMIT = 99


class Gateway:
    """Requests candles from a gateway; without a URL there is none, and nothing is served."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._session.close()

    async def candles(self, symbol: str) -> dict[int, Row]:
        """Return its newest candles without the forming one. Raises ExchangeFailed if it does not return them."""
        if self._url is None:
            return {}
        query: dict[str, str | int] = {"symbol": symbol, "interval": BASE, "limit": LIMIT + 1}
        try:
            async with self._session.get(f"{self._url}/fapi/v1/klines", params=query) as answer:
                if answer.status != 200:
                    raise ExchangeFailed(f"the gateway answers {symbol} with {answer.status}: {await answer.text()}")
                rows = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ExchangeFailed(f"the gateway does not respond: {type(error).__name__} {error}") from error
        return {row[0]: candle_of(row) for row in rows[:-1]}


def served_wrong(pair: str, served: Rows, exchange: Rows) -> list[str]:
    """Return the first candle, of those that both must have, that is missing or differs from the exchange's. Pure."""
    if not served:
        return []
    first_ms = min(served)
    for open_ms in range(first_ms, max(exchange, default=first_ms - 1) + 1, LENGTH_MS[BASE]):
        if served.get(open_ms) != exchange.get(open_ms):
            return [f"{pair}: the gateway serves {served.get(open_ms)} for {open_ms}, not {exchange.get(open_ms)}"]
    return []
