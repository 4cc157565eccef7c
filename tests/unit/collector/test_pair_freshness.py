"""The inputs of alerts on a pair's age: across a start, a hole, a halt, a delisting and a relisting."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from collector.feed.symbols import HALTED, first_watched_open_ms
from collector.ingest.ingest import Ingest
from collector.model.clock import ExchangeClock
from collector.observe import health
from collector.observe.metrics import Exposition, Parts
from collector.publish.stream import Stream
from exchange.binance.requests import BinanceClient
from exchange.budget import Budget
from exchange.events import CANDLE_MS, Candle, MarkPrice, Origin
from marketdata.candle_values import CandleValues
from tools.generate.at_rest import pipeline_at_rest

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
OPEN_MS = 1_790_000_100_000 // CANDLE_MS * CANDLE_MS
VALUES = CandleValues("1", "2", "1", "2", "9", "18", "4", "8", 7)

CANDLE_AGE = "marketdata_last_final_candle_timestamp_seconds"
MESSAGE_AGE = "marketdata_last_message_timestamp_seconds"


@dataclass
class World:
    """A collector at rest whose time we set: wall clock and exchange agree."""

    parts: Parts
    clock: ExchangeClock
    now_ms: int = OPEN_MS + 60_000

    @property
    def ingest(self) -> Ingest:
        return self.parts.ingest

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.clock.observe(self.now_ms)  # less than a minute at once, or the clock requires witnesses

    def watch(self, pair: str) -> None:
        self.ingest.watch(pair, first_watched_open_ms(self.now_ms))

    def resume(self, pair: str) -> None:
        self.ingest.resume(pair, first_watched_open_ms(self.now_ms))

    def close(self, pair: str, open_ms: int, origin: Origin = "stream") -> None:
        self.ingest.on_rest_candle(Candle(pair, open_ms, VALUES, True, origin, open_ms + CANDLE_MS + 2000))

    def samples(self, name: str, pair: str) -> list[dict[str, str]]:
        return [labels for labels, _ in self._values(name, pair)]

    def age(self, name: str, pair: str) -> float:
        """Seconds since the oldest of a pair's timestamps."""
        return self.now_ms / 1000 - min(value for _, value in self._values(name, pair))

    def _values(self, name: str, pair: str) -> list[tuple[dict[str, str], float]]:
        return [
            (sample.labels, sample.value)
            for family in Exposition(self.parts).collect()
            for sample in family.samples
            if sample.name == name and sample.labels.get("pair") == pair
        ]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ExchangeClock(lambda: 0)
    made: World
    async with aiohttp.ClientSession() as session:
        pipeline = pipeline_at_rest(tmp_path, session, clock, wall_seconds=lambda: made.now_ms / 1000)
        client = BinanceClient("https://localhost", Budget())
        made = World(Parts(client, pipeline, Stream("", "", clock)), clock)
        clock.observe(made.now_ms)
        yield made


async def test_a_pair_that_never_delivers_ages_from_the_candle_that_was_forming_at_the_start(world: World) -> None:
    world.watch(BTC)
    assert world.age(CANDLE_AGE, BTC) == 60
    assert world.age(MESSAGE_AGE, BTC) == 0
    for _ in range(6):
        world.pass_seconds(30)
    assert world.age(CANDLE_AGE, BTC) == 240
    assert world.age(MESSAGE_AGE, BTC) == 180


async def test_a_start_within_the_close_deadline_waits_for_the_candle_that_has_just_closed(world: World) -> None:
    for _ in range(4):
        world.pass_seconds(30)
    world.pass_seconds(2)  # 2 s after a close: its closing frame is on its way
    world.watch(BTC)
    assert world.age(CANDLE_AGE, BTC) == 182


@pytest.mark.parametrize("origin", ["stream", "rest"])
async def test_a_close_makes_a_pair_as_young_as_the_close(world: World, origin: Origin) -> None:
    world.watch(BTC)
    for _ in range(4):
        world.pass_seconds(31)
    world.close(BTC, OPEN_MS, origin)
    assert world.age(CANDLE_AGE, BTC) == 4


async def test_a_candle_that_the_exchange_does_not_have_does_not_make_a_pair_stale(world: World) -> None:
    world.watch(BTC)
    for _ in range(8):
        world.pass_seconds(30)
    assert world.age(CANDLE_AGE, BTC) == 300
    world.ingest.absent(BTC, OPEN_MS)
    assert world.age(CANDLE_AGE, BTC) == 120


async def test_an_older_candle_that_arrives_late_does_not_make_a_pair_older(world: World) -> None:
    world.watch(BTC)
    for _ in range(14):
        world.pass_seconds(30)
    world.close(BTC, OPEN_MS + CANDLE_MS)
    age = world.age(CANDLE_AGE, BTC)
    world.close(BTC, OPEN_MS)
    assert world.age(CANDLE_AGE, BTC) == age == 120


async def test_a_pair_that_trades_again_after_a_halt_has_as_much_time_as_a_new_one(world: World) -> None:
    world.watch(BTC)
    world.watch(ETH)
    world.parts.pair_states[BTC] = "halted"
    for _ in range(120):
        world.pass_seconds(30)
    assert world.age(CANDLE_AGE, BTC) > 3600
    world.parts.pair_states[BTC] = "listed"
    world.resume(BTC)
    assert world.age(CANDLE_AGE, BTC) < 184
    assert world.age(MESSAGE_AGE, BTC) == 0
    assert world.age(CANDLE_AGE, ETH) > 3600  # its own silence still counts


async def test_a_delisted_pairs_series_end_at_once_except_for_its_state(world: World) -> None:
    for pair in (BTC, ETH):
        world.watch(pair)
    world.ingest.on_mark_price(MarkPrice(BTC, world.now_ms, "1", "1", "0", world.now_ms + 1000), world.now_ms / 1000)
    world.parts.pair_states.update({BTC: "delisted", ETH: "listed"})
    named = {
        sample.name
        for family in Exposition(world.parts).collect()
        for sample in family.samples
        if sample.labels.get("pair") == BTC
    }
    assert named == {"marketdata_pair_state"}
    assert world.samples("marketdata_pair_state", BTC)[0]["state"] == "delisted"
    assert world.samples(CANDLE_AGE, ETH)
    world.ingest.unwatch(BTC)  # its last candle arrived
    assert world.samples("marketdata_pair_state", BTC)[0]["state"] == "delisted"


@pytest.mark.parametrize("left", [True, False])
async def test_a_pair_that_is_relisted_starts_afresh_whether_or_not_its_last_candle_arrived(
    world: World, left: bool
) -> None:
    world.watch(BTC)
    for _ in range(10):
        world.pass_seconds(30)
    if left:
        world.ingest.unwatch(BTC)
    world.watch(BTC)
    assert world.age(CANDLE_AGE, BTC) < 184
    assert world.age(MESSAGE_AGE, BTC) == 0


async def test_the_tier_is_decided_by_patterns_on_the_pair(world: World) -> None:
    world.parts.major = ["BTC/*", "SOL/USDT:USDT"]
    for pair in (BTC, ETH):
        world.watch(pair)
    assert [labels["tier"] for pair in (BTC, ETH) for labels in world.samples("marketdata_pair_tier", pair)] == [
        "major",
        "minor",
    ]


async def test_the_next_funding_time_is_exported_once_it_is_known(world: World) -> None:
    name = "marketdata_next_funding_timestamp_seconds"
    world.watch(BTC)
    assert world.samples(name, BTC) == []
    at_ms = world.now_ms + 3_600_000
    world.ingest.on_mark_price(MarkPrice(BTC, world.now_ms, "1", "1", "0", at_ms), world.now_ms / 1000)
    assert world.age(name, BTC) == -3600
    world.ingest.on_rest_mark_price(MarkPrice(BTC, world.now_ms, "1", "1", "0", at_ms + 1000))
    assert world.age(name, BTC) == -3601


async def test_a_pair_with_a_mark_price_is_live_once_its_candles_are_known_from_any_origin(world: World) -> None:
    def live() -> list[str]:
        return health.live_pairs(world.parts, world.now_ms / 1000)

    world.watch(BTC)
    assert live() == []
    world.ingest.on_mark_price(MarkPrice(BTC, world.now_ms, "1", "1", "0", 0), world.now_ms / 1000)
    assert live() == []
    for _ in range(4):
        world.pass_seconds(31)
    world.close(BTC, OPEN_MS, "rest")
    assert live() == []  # its mark price is two minutes old by now
    world.ingest.on_mark_price(MarkPrice(BTC, world.now_ms, "1", "1", "0", 0), world.now_ms / 1000)
    assert live() == [BTC]
    world.parts.pair_states[BTC] = HALTED
    assert live() == []
