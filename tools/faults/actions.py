"""What can happen to a row's servers."""

import asyncio
import gzip
import time
from collections.abc import Callable
from pathlib import Path

from tools.demo.store_truth import Store
from tools.faults.proxy import Behavior, passes
from tools.faults.row import Action
from tools.faults.world import CollectorServer, World

CANDLE_MS = 180_000
HOUR_MS = 3_600_000
SETTLED_MS = 1_000
SEEN_SECONDS = 8.0
STORED_SECONDS = 120.0
POLL_SECONDS = 0.5
RAW = "market_data"


def exchange(kind: str, *, first: int | None = None, last: int | None = None, **parameters: object) -> Action:
    """Activate a fault of the simulator; `first` and `last` select symbols by rank, 0 is the busiest."""

    async def act(world: World) -> None:
        chosen = dict(parameters)
        if first is not None:
            chosen["symbols"] = (await world.simulated.symbols())[first:last]
        await world.simulated.fault(kind, **chosen)

    return act


async def exchange_heals(world: World) -> None:
    """End every fault of the simulator."""
    await world.simulated.heal()


async def one_pair_silent(world: World) -> None:
    """Make the busiest pair's streams silent on live connections."""
    await world.simulated.fault("silent_symbol", symbol=(await world.simulated.symbols())[0])


async def one_pair_halted(world: World) -> None:
    """Halt the busiest pair: exchangeInfo reports it, and its streams are silent."""
    await world.simulated.fault("halt", symbol=(await world.simulated.symbols())[0])


async def one_pair_delisted(world: World) -> None:
    """Delist a pair of medium activity with the candle that is forming."""
    symbols = await world.simulated.symbols()
    await world.simulated.fault("delisting", symbol=symbols[len(symbols) // 2], at_ms=next_close_ms(world))


async def listing_dates_wrong(world: World) -> None:
    """Date the busiest pair's listing an hour ago, and the youngest pair's 288 days too early."""
    pairs = {pair.symbol: pair.listed_ms for pair in await world.simulated.listed()}
    busiest, youngest = (await world.simulated.symbols())[0], max(pairs, key=pairs.__getitem__)
    late_ms = world.simulated.now_ms() - HOUR_MS - pairs[busiest]
    await world.simulated.fault("onboard_date", symbol=busiest, shift_ms=late_ms)
    await world.simulated.fault("onboard_date", symbol=youngest, shift_ms=-288 * 24 * HOUR_MS)


async def no_gap_is_open(world: World) -> None:
    """Require that every collector has closed each gap it found, or proven it absent; otherwise the row fails."""
    for collector in world.collectors:
        metrics = await collector.metrics()
        if metrics is None or metrics.total("marketdata_gaps_open"):
            raise RuntimeError(f"{collector.name}: gaps stay open")


def next_close_ms(world: World) -> int:
    """Return when the forming candle closes."""
    return (world.simulated.now_ms() // CANDLE_MS + 1) * CANDLE_MS


def funding_interval(rank: int, hours: int, *, from_hours: float) -> Action:
    """Make the pair of this rank settle every `hours`, from `from_hours` after midnight on (negative: before it)."""

    async def act(world: World) -> None:
        symbol = (await world.simulated.symbols())[rank]
        at_ms = world.midnight_ms + int(from_hours * HOUR_MS)
        await world.simulated.fault("funding_interval", symbol=symbol, hours=hours, at_ms=at_ms)

    return act


def settlement_deleted(rank: int, *, at_hours: int) -> Action:
    """Delete what the pair of this rank settled `at_hours` after midnight from the store, where it must be."""

    async def act(world: World) -> None:
        symbol = (await world.simulated.symbols())[rank]
        (pair,) = [listed.pair for listed in await world.simulated.listed() if listed.symbol == symbol]
        hour_ms = world.midnight_ms + at_hours * HOUR_MS
        deadline = time.monotonic() + STORED_SECONDS
        async with Store(world.store.url, str(world.store.token_file("reader", "probe"))) as store:
            while not (found := [at for at in await store.settlements(pair) if hour_ms <= at < hour_ms + SETTLED_MS]):
                if time.monotonic() > deadline:
                    raise RuntimeError(
                        f"the row needs a stored settlement of {pair} at {at_hours} h, and there is none"
                    )
                await asyncio.sleep(POLL_SECONDS)
        for time_ms in found:
            await world.store.delete(RAW, "funding_settled", pair, time_ms)
        world.notes.append(f"{pair} lost what it settled at {at_hours} h")

    return act


def way(behavior: Behavior) -> Action:
    """Set how requests get to InfluxDB from now on."""

    async def act(world: World) -> None:
        world.proxy.behavior = behavior

    return act


way_free = way(passes)


async def store_stops(world: World) -> None:
    """Stop InfluxDB in order."""
    await world.store.stop()


async def store_starts(world: World) -> None:
    """Start InfluxDB again."""
    await world.store.start()


async def token_revoked(world: World) -> None:
    """Delete the first collector's ingest token on the server."""
    await world.store.revoke("ingest", world.collector.name)


async def token_restored(world: World) -> None:
    """Create a new token that replaces the old one in its file."""
    world.store.token_file("ingest", world.collector.name).unlink()
    await world.store.provision()


def kill(index: int = 0) -> Action:
    """Send SIGKILL to a collector."""

    async def act(world: World) -> None:
        await world.collectors[index].kill()

    return act


def start(index: int = 0) -> Action:
    """Start a collector again."""

    async def act(world: World) -> None:
        world.collectors[index].start()

    return act


def kill_with_points_in(place: str) -> Action:
    """Send SIGKILL as soon as /metrics shows points in a place: queue, batch or spool."""

    async def act(world: World) -> None:
        deadline = time.monotonic() + SEEN_SECONDS
        seen = 0.0
        while not seen and time.monotonic() < deadline:
            metrics = await world.collector.metrics()
            seen = metrics.total(f"marketdata_points_in_{place}") if metrics else 0.0
        await world.collector.kill()
        world.notes.append(f"killed with {seen:.0f} points in the {place}")

    return act


def kill_mid_delivery() -> Action:
    """Send SIGKILL after InfluxDB has stored a write but before the collector knows (see stores_and_is_silent)."""

    async def act(world: World) -> None:
        before, deadline = world.proxy.writes_stored, time.monotonic() + SEEN_SECONDS
        while world.proxy.writes_stored == before and time.monotonic() < deadline:  # noqa: ASYNC110 - a look at a number
            await asyncio.sleep(0.01)
        await world.collector.kill()
        world.notes.append(f"killed in {world.proxy.writes_stored - before} deliveries")

    return act


async def terminate(world: World) -> None:
    """Send SIGTERM to the first collector; its exit code must be 0, otherwise the row fails."""
    code = await world.collector.terminate()
    world.notes.append(f"exit code {code} after SIGTERM")


async def freeze(world: World) -> None:
    """Suspend the first collector."""
    world.collector.freeze()


async def thaw(world: World) -> None:
    """Resume it."""
    world.collector.thaw()


def newest_spooled(change: Callable[[CollectorServer, Path], None]) -> Action:
    """Modify the newest spool file of candles, of a collector that is not running."""

    async def act(world: World) -> None:
        files = sorted((world.collector.spool / "main" / RAW).glob("*.lp.gz"))
        if not files:
            raise RuntimeError("the row needs a spool file of candles, and there is none")
        change(world.collector, files[-1])
        world.notes.append(f"{files[-1].name} changed")

    return act


def damaged(_collector: CollectorServer, file: Path) -> None:
    """Change some bytes in the middle, as a bad disk does."""
    body = bytearray(file.read_bytes())
    for index in range(len(body) // 2, len(body) // 2 + 8):
        body[index] ^= 0xFF
    file.write_bytes(bytes(body))


def half_written(collector: CollectorServer, file: Path) -> None:
    """Leave what a crash in the middle of writing leaves: half the file, under its temporary name."""
    incoming = collector.spool / "incoming" / RAW
    incoming.mkdir(parents=True, exist_ok=True)
    (incoming / f"{file.name}.tmp").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    file.unlink()


def with_line(line: Callable[[str], str]) -> Callable[[CollectorServer, Path], None]:
    """Insert a line at the start of a spool file: what `line` makes of its first."""

    def change(_collector: CollectorServer, file: Path) -> None:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        lines.insert(0, line(lines[0]))
        sequence = file.name.partition("-")[0]
        file.with_name(f"{sequence}-{len(lines)}.lp.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
        file.unlink()

    return change


def unreadable(_line: str) -> str:
    """A line that InfluxDB cannot parse: 400, and nothing in the body is stored."""
    return "ohlcv_3m,exchange=BINANCE_FUTURES close=nan,,"


def of_wrong_type(line: str) -> str:
    """The same point with a fraction as the number of trades: 422, and the other lines are stored."""
    series, _, rest = line.partition(" ")
    return f"{series} trades=1.5 {rest.rpartition(' ')[2]}"
