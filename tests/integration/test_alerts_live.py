"""The shipped alerts on real servers: who is told what when pairs, streams, a collector or the exchange fall silent.

Rules and Alertmanager are as shipped, with their waits divided by tests/faster.py; what ages are compared with stays.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.alerting import Alerting, alerting
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.test_collector import pairs_of
from tests.integration.test_universe_changes import pair_symbol
from tests.support import eventually_async
from tools.demo.configs import Target

PAIRS = 12
FILL = ["[fill]", "hours = 1", "rollup_windows = 1"]
LIVE_SECONDS = 90
TOLD_SECONDS = 120
"""A mark price is stale after 60 s; the rest is what rules and Alertmanager still wait, and a busy machine."""
CANDLE_TOLD_SECONDS = 300
"""The next close may be 180 s away, and its candle is stale 60 s later."""
CLEARED_SECONDS = 150


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
    simulator = start_simulator("--pairs", str(PAIRS))
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
        watching = await running.enter_async_context(alerting(tmp_path, jobs))
        built = World(simulator, collectors, watching, pairs_of(simulator))
        await built.wait_until_fresh()
        yield built


async def test_only_what_is_stale_is_told_as_stale_and_a_dead_collector_mutes_nothing(world: World) -> None:
    recorder = world.alerting.recorder
    stale, silent, later = world.pairs[0], world.pairs[3], world.pairs[5]
    await world.freeze(stale)
    await world.fault("silent_symbol", symbol=pair_symbol(silent))

    await world.told("PairStale", pair=stale, channel="mark_price", severity="critical")
    await world.told("StreamSilent", pair=silent, channel="mark_price")
    assert world.pairs_told("PairStale") == {stale}
    assert world.pairs_told("StreamSilent") == {silent}

    world.collectors[1].kill()
    await world.freeze(later)
    await world.told("CollectorDown")
    await world.told("PairStale", pair=later, channel="mark_price", severity="warning")
    assert recorder.is_firing("CollectorDown")
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

    async def every_pair_suppressed() -> bool:
        return {labels["pair"] for labels in await world.alerting.suppressed("PairStale")} == set(world.pairs)

    await world.told("ExchangeSilent")
    _: bool = await eventually_async(every_pair_suppressed, TOLD_SECONDS, what="what follows from it held back")
    await world.heal()
    await world.cleared("ExchangeSilent")
    # StreamSilent is told before it here alone: its 5 minutes became 15 s, the 60 s of an exchange's silence stay.
    of_exchange = {
        told.notification
        for told in recorder.told
        if told.notification > before
        and told.status == "firing"
        and "exchange" in told.labels
        and not told.is_of("StreamSilent")
    }
    assert len(of_exchange) == 1, [told for told in recorder.told if told.notification in of_exchange]
    await world.wait_until_fresh()
    assert not recorder.of("PairStale")
