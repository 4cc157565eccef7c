"""A few hundred requests to gateway and exchange: the same status and body, or a documented difference."""

import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.integration.collector_process import collector_process, write_config
from tests.integration.conformance import DIFFERENCES, Row, Symbols, rows, verdict
from tests.integration.gateway_process import gateway_process, write_gateway_config
from tests.integration.servers import InfluxStack, Simulator, simulator_process
from tests.support import BUSY, eventually_async

CANDLE_MS = 180_000
#: Both sides have every final candle from here on after a close, and until so long before the next.
QUIET_MS = (25_000, 170_000)
#: Its row of exchangeInfo does not say what it is on, so nobody collects it.
UNREADABLE = "ETCUSDT"
DOCUMENT = Path(__file__).parents[3] / "docs/freqtrade.md"


@dataclass(frozen=True)
class Sides:
    gateway: str
    config: Path
    simulator: Simulator


@pytest.fixture(scope="module")
def sides(influx: InfluxStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """An exchange, a collector that has filled the store, and a gateway that is ready."""
    folder = tmp_path_factory.mktemp("conformance")
    # With fewer pairs, none of them is Chinese.
    with simulator_process(folder, "--pairs", "164", "--seed", "77", "--base", "T$") as simulator:
        simulator.fetch("/_control/faults", {"kind": "unreadable_row", "symbol": UNREADABLE})
        pairs = [symbol.removesuffix("USDT") + "/USDT:USDT" for symbol in collected(simulator)]
        collecting = {"weight_share_percent": 40, "pairs": pairs}
        config, url = write_config(folder, simulator, influx, exchange=collecting)
        with collector_process(config, url, folder) as collector:
            collector.wait_until_filled()
            config, gateway_url = write_gateway_config(
                folder, simulator, influx, {"collector-1": url}, exchange={"weight_share_percent": 40}
            )
            with gateway_process(config, gateway_url, folder) as gateway:
                gateway.wait_until_ready()
                yield Sides(gateway_url, config, simulator)


def symbols_of(simulator: Simulator) -> Symbols:
    listed = simulator.fetch("/fapi/v1/exchangeInfo")["symbols"]
    ours = collected(simulator)
    kinds = {(row["contractType"], row["status"]): row["symbol"] for row in listed if row["symbol"] not in ours}
    kinds = {kind: symbol for kind, symbol in kinds.items() if symbol != UNREADABLE}
    return Symbols(ours[0], tuple(ours[-2:]), (*kinds.values(), UNREADABLE))


def collected(simulator: Simulator) -> list[str]:
    """The pairs for the collector: a selection, the odd ones last."""
    symbols = simulator.fetch("/_control/state")["pairs"]
    return [*symbols[:5], next(symbol for symbol in symbols if not symbol.isascii()), "T$USDT"]


async def asked(session: aiohttp.ClientSession, base: str, row: Row) -> tuple[int, bytes]:
    async with session.get(base + row.route, params=row.params) as answer:
        return answer.status, await answer.read()


async def test_the_gateway_answers_as_the_exchange_does_or_as_documented(sides: Sides) -> None:
    trust = ssl.create_default_context(cafile=str(sides.simulator.ca_file))
    # It has its own address, so that these requests are not charged to the gateway's.
    direct = aiohttp.TCPConnector(ssl=trust, local_addr=("127.0.0.2", 0))
    verdicts: Counter[str] = Counter()
    wrong = []
    async with aiohttp.ClientSession(connector=direct) as exchange, aiohttp.ClientSession() as bots:

        async def now_ms() -> int:
            async with exchange.get(f"{sides.simulator.url}/_control/state") as answer:
                return int((await answer.json())["now_ms"])

        async def quiet() -> int:
            now = await now_ms()
            return now if QUIET_MS[0] < now % CANDLE_MS < QUIET_MS[1] else 0

        async def served(row: Row) -> tuple[int, bytes] | None:
            """The gateway's response; a whole table at once may spend the minute's weight, and then 429 is right."""
            answer = await asked(bots, sides.gateway, row)
            return None if answer[0] == 429 else answer

        table = rows(symbols_of(sides.simulator), await now_ms())
        for row in table:
            now: int = await eventually_async(lambda: quiet(), 60, what="a moment between two closes")
            ours: tuple[int, bytes] | None = await eventually_async(
                partial(served, row), 75, what=f"an answer to {row}"
            )
            assert ours is not None
            theirs = await asked(exchange, sides.simulator.url, row)
            said = verdict(row, ours, theirs, now)
            verdicts[said.split(":")[0]] += 1
            if said.startswith("WRONG"):
                wrong.append(f"{row}: {said}")
    assert len(table) > 300
    print(f"{len(table)} rows: {dict(verdicts)}")
    assert not wrong, f"{len(wrong)} of {len(table)} rows {dict(verdicts)}\n" + "\n".join(wrong)
    assert set(verdicts) - {"equal"} <= set(DIFFERENCES)


def test_every_difference_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in DIFFERENCES if f"**{name}**" not in text] == []


def compared(sides: Sides, folder: Path, pairs: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `gateway compare` for these pairs against the running gateway."""
    path = folder / "pairs.yml"
    path.write_text(pairs, encoding="utf-8")
    command = [sys.executable, "-m", "gateway", "compare", "--config", str(sides.config), "--pairs", str(path)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=120 * BUSY)


def test_shadow_mode_finds_no_difference_and_reports_the_weight_saved(sides: Sides, tmp_path: Path) -> None:
    pairs = "pairs: [BTC/USDT:USDT, ETH/USDT:USDT, 币安人生/USDT:USDT]"
    done = compared(sides, tmp_path, pairs, "--timeframes", "3m,15m,1h")
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    table = {line.split("  ")[0]: line.split() for line in done.stdout.splitlines()}
    assert {"klines 3m", "klines 15m", "klines 1h", "markPriceKlines 1h", "fundingRate", "premiumIndex"} <= set(table)
    assert int(table["klines 3m"][3]) > 3 * 490
    assert "weight since the gateway's start" in done.stdout


def test_shadow_mode_rejects_a_file_without_pairs(sides: Sides, tmp_path: Path) -> None:
    done = compared(sides, tmp_path, "bots: 3")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
