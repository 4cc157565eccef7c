"""The shipped alerts on real servers: who is told what when pairs, streams, a collector or the exchange fall silent.

Rules and Alertmanager are as shipped, with their waits divided by tests/support/faster.py; what ages are compared with
stays.
The exchange's clock is behind ours, by so much that a candle closes soon after everything runs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.alerting import Alerting, alerting
from tests.integration.collector.test_collector import pairs_of
from tests.integration.collector.test_universe_changes import pair_symbol
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.support import eventually_async
from tools.demo.configs import Target

PAIRS = 12
CANDLE_SECONDS = 180
FILL = ["[fill]", "hours = 1", "rollup_windows = 1"]
LIVE_SECONDS = 90
TOLD_SECONDS = 120
"""A mark price is stale after 60 s; the rest is what rules and Alertmanager still wait, and a busy machine."""
CANDLE_TOLD_SECONDS = 300
"""If the start took long the next close may be 180 s away, and its candle is stale 60 s later."""
CLEARED_SECONDS = 150
CLOSE_AFTER_SECONDS = 75
"""The simulator starts so long before a close: everything runs by then, or the tests take until the next."""
UNMUTED_SECONDS = 20
"""After so long each stale pair would have been told: PairStale's `for`, its group's wait, and a scrape or two."""


@dataclass
class World:
    """An exchange, two collectors of the same pairs, and what watches them."""

    simulator: Simulator
    collectors: list[CollectorProcess]
    alerting: Alerting
    pairs: list[str]

    async def fault(self, kind: str, **parameters: object) -> None:
        await asyncio.to_thread(self.simulator.fetch, "/_control/faults", {"kind": kind, **parameters})

    async def heal(self) -> None:
        await asyncio.to_thread(self.simulator.fetch, "/_control/faults", method="DELETE")

    async def freeze(self, pair: str) -> None:
        """Silence a pair on stream and REST."""
        await self.fault("silent_symbol", symbol=pair_symbol(pair))
        await self.fault("rest_frozen", symbol=pair_symbol(pair))

    async def told(self, alertname: str, within_seconds: float = TOLD_SECONDS, **labels: str) -> None:
        """Return when the receiver knows of such an alert."""
        await eventually_async(
            lambda: self.alerting.recorder.is_firing(alertname, **labels),
            within_seconds,
            what=f"{alertname} {labels} told",
        )

    async def cleared(self, *alertnames: str) -> None:
        """Return when the receiver has been told that these are over."""
        for alertname in alertnames:
            await eventually_async(
                lambda alertname=alertname: self.alerting.recorder.is_resolved(alertname),  # type: ignore[misc]
                CLEARED_SECONDS,
                what=f"{alertname} told as resolved",
            )

    def pairs_told(self, alertname: str) -> set[str]:
        return {told.labels["pair"] for told in self.alerting.recorder.of(alertname)}

    async def wait_until_fresh(self) -> None:
        """Return when Prometheus has every pair of every channel as fresh, by both collectors."""

        async def fresh() -> bool:
            stale = await self.alerting.query("exchange_pair_channel:marketdata_stale:bool")
            up = await self.alerting.query('sum(up{job="collector"})')
            return len(stale) == 3 * PAIRS and not any(stale.values()) and list(up.values()) == [2.0]

        _: bool = await eventually_async(fresh, LIVE_SECONDS, what="all pairs fresh")


@pytest.fixture
async def world(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Callable[..., Simulator]
) -> AsyncIterator[World]:
    now_ms = time.time_ns() // 1_000_000
    behind_seconds = (now_ms // 1000 + CLOSE_AFTER_SECONDS) % CANDLE_SECONDS
    simulator = start_simulator("--pairs", str(PAIRS), "--start-ms", str(now_ms - behind_seconds * 1000))
    async with AsyncExitStack() as running:
        collectors = []
        for name in ("collector-1", "collector-2"):
            folder = tmp_path / name
            folder.mkdir()
            config, url = write_config(folder, simulator, fresh_influx, name=name, extra=FILL)
            collectors.append(running.enter_context(collector_process(config, url, folder)))
        for collector in collectors:
            await asyncio.to_thread(collector.wait_until_filled)
        jobs: dict[str, list[Target]] = {
            "collector": [
                (collector.url.removeprefix("http://"), {"host": f"feeder-{number}"})
                for number, collector in enumerate(collectors, 1)
            ],
            "influxdb": [(fresh_influx.url.removeprefix("http://"), {"store": "main"})],
        }
        watching = await running.enter_async_context(alerting(tmp_path, jobs, behind_seconds=behind_seconds))
        built = World(simulator, collectors, watching, pairs_of(simulator))
        await built.wait_until_fresh()
        yield built


async def test_only_what_is_stale_is_told_as_stale_and_a_dead_collector_mutes_nothing(world: World) -> None:
    recorder = world.alerting.recorder
    stale, silent, later = world.pairs[0], world.pairs[3], world.pairs[5]
    await world.freeze(stale)
    await world.fault("silent_symbol", symbol=pair_symbol(silent))

    await world.told("PairStale", pair=stale, channel="mark_price", severity="critical")
    assert world.pairs_told("PairStale") == {stale}

    world.collectors[1].kill()
    await world.freeze(later)
    await world.told("CollectorDown")
    await world.told("StreamSilent", pair=silent, channel="mark_price")
    await world.told("PairStale", pair=later, channel="mark_price", severity="warning")
    assert recorder.is_firing("CollectorDown")
    assert world.pairs_told("StreamSilent") == {silent}
    await world.told("PairStale", CANDLE_TOLD_SECONDS, pair=stale, channel="candles_3m")
    # A close of every pair was due by now: REST brought that of the silent stream.
    assert world.pairs_told("PairStale") == {stale, later}
    assert not recorder.of("ExchangeSilent")

    world.collectors[1].start()
    await world.heal()
    await world.cleared("PairStale", "StreamSilent", "CollectorDown")
    assert world.pairs_told("PairStale") == {stale, later}


async def test_a_silent_exchange_is_one_notification_and_none_for_each_pair(world: World) -> None:
    recorder = world.alerting.recorder
    before = recorder.notifications
    await world.fault("silent_route", route="all")
    await world.fault("rest_status", status=503)

    async def every_pair_stale() -> bool:
        lasts = (
            f'min_over_time(exchange_pair_channel:marketdata_stale:bool{{channel="mark_price"}}[{UNMUTED_SECONDS}s])'
        )
        return len(await world.alerting.query(f"{lasts} == 1")) == PAIRS

    async def held_back() -> bool:
        return bool(await world.alerting.suppressed("FreshnessBudgetBurn"))

    await world.told("ExchangeSilent")
    _: bool = await eventually_async(every_pair_stale, TOLD_SECONDS, what="every pair stale for long enough")
    _ = await eventually_async(held_back, TOLD_SECONDS, what="what follows from it held back by Alertmanager")
    assert await world.alerting.unsuppressed("PairStale") == []
    await world.heal()
    await world.cleared("ExchangeSilent")
    of_exchange = {
        told.notification
        for told in recorder.told
        if told.notification > before and told.status == "firing" and "exchange" in told.labels
    }
    assert len(of_exchange) == 1, [told for told in recorder.told if told.notification in of_exchange]
    await world.wait_until_fresh()
    assert not recorder.of("PairStale")
