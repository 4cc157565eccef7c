"""`gateway compare`: shadow mode. Sends a running gateway and the exchange the same requests, for the pairs of a file.

It costs 3 weight and a funding request per pair, and 2 more for each further timeframe, paced by half the gateway's
share.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exchange.binance import limits
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget, Priority
from exchange.errors import ExchangeError
from gateway.commands import shadow
from gateway.commands.shadow import Tally
from gateway.config import Config
from marketdata.pairs import InvalidPair, symbol_of

OK, DIFFERENT, WRONG_INPUT = 0, 1, 2

_TIMEOUT_SECONDS = 15.0
_EXAMPLES = 20
_LIMITS = {limits.KLINES: 499, limits.MARK_PRICE_KLINES: 99, limits.FUNDING_RATE: 100}


class PairsFileError(ValueError):
    """A file of pairs that cannot be used; the message is one line."""


async def run(config: Config, pairs_file: Path, *, url: str | None = None, timeframes: Sequence[str] = ("3m",)) -> int:
    """Compare and print a table; exit code 0 if nothing differs, 1 if something does, 2 if the file is unusable."""
    try:
        symbols = [symbol_of(pair) for pair in read_pairs(pairs_file)]
    except (PairsFileError, InvalidPair) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return WRONG_INPUT
    base = (url or f"http://{config.gateway.listen}").rstrip("/")
    exchange = config.exchange
    budget = Budget(max(exchange.weight_share_percent / 2, 1))
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with (
            BinanceClient(exchange.rest_url, budget, ca_file=exchange.ca_file, proxy=exchange.proxy) as client,
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
        ):
            comparison = Comparison(client, session, base)
            await comparison.everything(symbols, timeframes)
            saved = await comparison.saved()
    except (ExchangeError, aiohttp.ClientError, TimeoutError) as error:
        print(f"gateway: compare ended early: {error}", file=sys.stderr)
        return DIFFERENT
    print(table(comparison.tallies, len(symbols), saved))
    return OK if all(tally.right for tally in comparison.tallies.values()) else DIFFERENT


def read_pairs(path: Path) -> list[str]:
    """Return the pairs of a YAML or JSON file: a list, `pairs:` of one, or a bot's configuration (pair_whitelist).

    Raises PairsFileError.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PairsFileError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if isinstance(content, Mapping):
        exchange = content.get("exchange")
        content = content.get("pairs") or (isinstance(exchange, Mapping) and exchange.get("pair_whitelist"))
    if not isinstance(content, list) or not content or not all(isinstance(pair, str) for pair in content):
        raise PairsFileError(f"{path}: give a list of pairs, `pairs:` with one, or a bot's configuration")
    return content


class Comparison:
    """Both sides of one comparison, and the results by kind of request."""

    def __init__(self, client: BinanceClient, session: aiohttp.ClientSession, base: str) -> None:
        self.tallies: dict[str, Tally] = {}
        self._client = client
        self._session = session
        self._base = base

    async def everything(self, symbols: Sequence[str], timeframes: Sequence[str]) -> None:
        """Send every request. Raises ExchangeError if the exchange cannot be reached at all."""
        await self._client.server_time_ms()
        await self._of_all(limits.EXCHANGE_INFO, frozenset(symbols))
        await self._of_all(limits.PREMIUM_INDEX, frozenset(symbols))
        for symbol in symbols:
            for timeframe in timeframes:
                await self._rows(f"klines {timeframe}", limits.KLINES, symbol, timeframe)
            await self._rows("markPriceKlines 1h", limits.MARK_PRICE_KLINES, symbol, "1h")
            await self._rows("fundingRate", limits.FUNDING_RATE, symbol, None)

    async def saved(self) -> tuple[float, float]:
        """Return the weight of the bots' requests to the gateway and the weight it spent, both since its start."""
        async with self._session.get(f"{self._base}/metrics") as answer:
            text = await answer.text()
        total = {"marketdata_gateway_asked_weight_total": 0.0, "marketdata_gateway_exchange_weight_total": 0.0}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in total:
                    total[sample.name] += sample.value
        asked, spent = total.values()
        return asked, spent

    async def _of_all(self, route: str, symbols: frozenset[str]) -> None:
        name = route.rpartition("/")[2]
        both = await self._ask(name, route, {})
        if both is not None:
            same = shadow.near if route == limits.PREMIUM_INDEX else shadow.same_number
            ours, theirs = (each["symbols"] if isinstance(each, dict) else each for each in both)
            self._tally(name).compare(name, shadow.of_symbols(ours, symbols), shadow.of_symbols(theirs, symbols), same)

    async def _rows(self, name: str, route: str, symbol: str, interval: str | None) -> None:
        params = {"symbol": symbol, "limit": str(_LIMITS[route])}
        if interval is not None:
            params["interval"] = interval
        both = await self._ask(f"{name} {symbol}", route, params, tally=name)
        if both is not None:
            pick = shadow.settlements if route == limits.FUNDING_RATE else shadow.candles
            ours, theirs = pick(*both, self._client.budget.clock.now_ms())
            self._tally(name).compare(symbol, ours, theirs, shadow.same_number)

    async def _ask(
        self, what: str, route: str, params: Mapping[str, str], *, tally: str | None = None
    ) -> tuple[Any, Any] | None:
        """Return both responses; None, after counting it, if one of them is a refusal."""
        try:
            theirs = json.loads(await self._client.raw(route, params, priority=Priority.HISTORY))
            async with self._session.get(self._base + route, params=params) as answer:
                text = await answer.text()
                if answer.status != 200:
                    self._tally(tally or what).refuse(f"{what}: the gateway answered {answer.status} {text[:200]}")
                    return None
                return json.loads(text), theirs
        except ExchangeError as error:
            self._tally(tally or what).refuse(f"{what}: {error}")
        except TimeoutError:
            self._tally(tally or what).refuse(f"{what}: no response from the gateway in {_TIMEOUT_SECONDS:.0f} s")
        return None

    def _tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally())


def table(tallies: Mapping[str, Tally], pairs: int, saved: tuple[float, float]) -> str:
    """Return what is printed: a row per kind of request, examples of differences, and the weight saved."""
    columns = ("questions", "rows", "equal", "written", "different", "missing", "extra", "refused")
    width = max(len(name) for name in tallies) + 2
    lines = [f"{pairs} pairs", " " * width + " ".join(f"{name:>9}" for name in columns)]
    for name, tally in tallies.items():
        lines.append(f"{name:<{width}}" + " ".join(f"{getattr(tally, column):>9}" for column in columns))
    examples = [example for tally in tallies.values() for example in tally.examples]
    lines += examples[:_EXAMPLES]
    if len(examples) > _EXAMPLES:
        lines.append(f".. and {len(examples) - _EXAMPLES} more")
    asked, spent = saved
    part = f", {100 * (1 - spent / asked):.1f} % saved" if asked else ""
    lines.append(f"weight since the gateway's start: requested from it {asked:.0f}, spent by it {spent:.0f}{part}")
    return "\n".join(lines)
