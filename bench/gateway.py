"""How fast the gateway answers: `make bench`. Starts an exchange, an InfluxDB and a collector of its own for it.

Two figures (docs/performance.md): 200 requests a second of klines limit=499 over 110 pairs, spread evenly and sent
whether or not earlier ones were answered, a minute long; and what a close is, 12 bots that ask for 110 pairs at once.
As bots do, the client asks for gzip. Everything runs on this machine, the client too: it is part of the load.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from influx.provisioning import provision
from tools.bootstrap import programs
from tools.demo.processes import Children
from tools.demo.servers import answers, environment, influxd_command, simulator_command, simulator_url
from tools.ports import HOST, free_port

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 110
BOTS = 12
RATE = 200
SECONDS = 60
QUERY = "interval=3m&limit=499"
READY_SECONDS = 300.0


async def main(arguments: argparse.Namespace) -> int:
    """Measure and print; exit code 1 if a request failed."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers={"Accept-Encoding": "gzip"}, auto_decompress=False
    ) as session:
        if arguments.url:
            return await measure(arguments.url, session, arguments.seconds)
        with tempfile.TemporaryDirectory() as name:
            children = Children(Path(name), ROOT, environment(os.environ))
            try:
                return await measure(await start(Path(name), children, session), session, arguments.seconds)
            finally:
                children.stop()


async def start(folder: Path, children: Children, session: aiohttp.ClientSession) -> str:
    """Start the servers; return the gateway's address once it is ready and its store is filled."""
    influxd = programs.find("influxd")
    if influxd is None:
        raise SystemExit("there is no influxd: run `make setup`")
    store, collector, gateway = (f"{HOST}:{free_port()}" for _ in range(3))
    data = folder / "influxdb"
    data.mkdir()
    await answers(f"http://{store}/health", children.start("influxd", influxd_command(influxd, store, data)))
    secrets = (await asyncio.to_thread(provision, f"http://{store}", folder / "secrets")).secrets_dir
    simulator = children.start("simulator", simulator_command(folder / "tls", "--pairs", str(PAIRS + 10)))
    exchange = await simulator_url(simulator)
    sections = f"""
[exchange]
rest_url = "{exchange}"
ca_file = "{folder}/tls/ca.pem"
weight_share_percent = 60
"""
    (folder / "collector.toml").write_text(
        f"""{sections}websocket_url = "{exchange.replace("https", "wss", 1)}"
[collector]
name = "collector-1"
state_dir = "{folder}/collector"
listen = "{collector}"
[fill]
hours = 26
rollup_windows = 1
[[store]]
name = "main"
url = "http://{store}"
ingest_token_file = "{secrets}/ingest-collector-1.token"
repair_token_file = "{secrets}/repair-collector-1.token"
"""
    )
    (folder / "gateway.toml").write_text(
        f"""{sections}
[gateway]
name = "gateway-1"
state_dir = "{folder}/gateway"
listen = "{gateway}"
[[collector]]
name = "collector-1"
url = "http://{collector}"
[[store]]
name = "main"
url = "http://{store}"
reader_token_file = "{secrets}/reader-gateway.token"
"""
    )
    children.start("collector", [sys.executable, "-m", "collector", "run", "--config", f"{folder}/collector.toml"])
    deadline = time.monotonic() + READY_SECONDS
    while not await filled(f"http://{collector}", session):
        if time.monotonic() > deadline:
            raise SystemExit("the collector did not fill its store in time")
        await asyncio.sleep(1)
    child = children.start("gateway", [sys.executable, "-m", "gateway", "run", "--config", f"{folder}/gateway.toml"])
    await answers(f"http://{gateway}/readyz", child)
    return f"http://{gateway}"


async def filled(url: str, session: aiohttp.ClientSession) -> bool:
    """Whether the collector's store holds the history."""
    try:
        async with session.get(f"{url}/status", headers={"Accept-Encoding": "identity"}) as answer:
            return answer.status == 200 and (await answer.json())["fill"]["stage"] == "done"
    except aiohttp.ClientError:
        return False


async def measure(url: str, session: aiohttp.ClientSession, seconds: int) -> int:
    """Print both figures."""
    async with session.get(f"{url}/pairlist?limit=1", headers={"Accept-Encoding": "identity"}) as answer:
        pairs = (await answer.json())["pairs"]
    symbols = [pair.partition(":")[0].replace("/", "") for pair in pairs][:PAIRS]
    client = Client(url, session)
    await asyncio.gather(*(client.ask(symbol) for symbol in symbols))
    print(f"{len(symbols)} pairs; warm, {client.bytes / len(symbols) / 1000:.0f} kB compressed an answer")

    await past_the_close()
    client.reset()
    began, used = time.perf_counter(), await cpu_seconds(url, session)
    requests = []
    for number in range(RATE * seconds):
        await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
        requests.append(asyncio.create_task(client.ask(symbols[number % len(symbols)])))
    await asyncio.gather(*requests)
    share = (await cpu_seconds(url, session) - used) / (time.perf_counter() - began)
    print(f"{RATE} requests a second for {seconds} s: {client.told()}, CPU {share:.0%} of a core")
    failed = client.failed

    for _ in range(3):
        await past_the_close()
        client.reset()
        began = time.perf_counter()
        await asyncio.gather(*(client.ask(symbol) for _ in range(BOTS) for symbol in symbols))
        print(f"{BOTS} x {len(symbols)} at once: {time.perf_counter() - began:.2f} s in all, {client.told()}")
        failed += client.failed
    return 1 if failed else 0


async def past_the_close() -> None:
    """Wait until no candle is awaited: what is held is not what is measured here."""
    await asyncio.sleep(max(0, 12 - time.time() % 180))


class Client:
    """Asks, and keeps the times."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = f"{url}/fapi/v1/klines?{QUERY}&symbol="
        self._session = session
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self._seconds: list[float] = []
        self.bytes = 0
        self.failed = 0

    async def ask(self, symbol: str) -> None:
        """Send one request and read its answer to the end."""
        began = time.perf_counter()
        async with self._session.get(self._url + symbol) as answer:
            self.bytes += len(await answer.read())
            self.failed += answer.status != 200
        self._seconds.append(time.perf_counter() - began)

    def told(self) -> str:
        """The figures in a few words."""
        cuts = statistics.quantiles(self._seconds, n=1000)
        p50, p99 = cuts[499] * 1000, cuts[989] * 1000
        return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {max(self._seconds) * 1000:.0f} ms, failed {self.failed}"


async def cpu_seconds(url: str, session: aiohttp.ClientSession) -> float:
    """The gateway's own CPU time so far."""
    async with session.get(f"{url}/metrics", headers={"Accept-Encoding": "identity"}) as answer:
        text = await answer.text()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == "process_cpu_seconds_total")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description="Measure the gateway.")
    parser.add_argument("--url", help="a gateway that runs; otherwise one is started with all it needs")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"length of the first figure ({SECONDS})")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse())))
