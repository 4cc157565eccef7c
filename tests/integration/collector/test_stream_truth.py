"""GET /stream of a real collector: across a close without InfluxDB and a restart, against the exchange's truth."""

import json
import threading
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.closes import CLOSE_SECONDS, before_a_close, lead_seconds, next_close_ms
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, truth
from tests.support import BUSY, REQUEST_SECONDS, eventually

type Start = Callable[..., Simulator]

COLUMNS = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "trades": 8,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
"""Where Binance's kline row has the fields of a /stream candle."""


@dataclass
class Told:
    """What a reader received, by pair."""

    boot_id: str = ""
    symbols: list[str] = field(default_factory=list)
    pairs: set[str] = field(default_factory=set)
    finals: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    order: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    kinds: set[str] = field(default_factory=set)
    live_seq: int | None = None
    missed: list[str] = field(default_factory=list)

    def apply(self, message: dict[str, Any]) -> None:
        """Take in one line."""
        kind = message["type"]
        self.kinds.add(kind)
        if self.live_seq is not None:
            expected = self.live_seq + (kind != "heartbeat")
            if message["seq"] != expected:
                self.missed.append(f"{message} instead of seq {expected}")
            self.live_seq = message["seq"]
        match kind:
            case "hello":
                self.boot_id = message["boot_id"]
            case "exchange_info":
                self.symbols = [row["symbol"] for row in message["exchange_info"]["symbols"]]
            case "pair":
                self.pairs.add(message["pair"])
                for final in message["final"]:
                    self.finals[message["pair"]][final["open_time_ms"]] = final
            case "final":
                self.finals[message["pair"]][message["open_time_ms"]] = message
                self.order[message["pair"]].append(message["open_time_ms"])
            case "live":
                self.live_seq = message["seq"]


def lines(url: str) -> Iterator[dict[str, Any]]:
    with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as answer:
        for line in answer:
            yield json.loads(line)


def snapshot(collector: CollectorProcess, query: str = "") -> Told:
    """What a reader receives that joins now."""
    told = Told()
    for message in lines(f"{collector.url}/stream{query}"):
        told.apply(message)
        if message["type"] == "live":
            break
    return told


@contextmanager
def following(collector: CollectorProcess) -> Iterator[Told]:
    """A reader that stays connected until the collector stops."""
    told = Told()

    def follow() -> None:
        for message in lines(f"{collector.url}/stream"):
            told.apply(message)

    thread = threading.Thread(target=follow)
    thread.start()
    yield told
    thread.join(20 * BUSY)
    assert not thread.is_alive()


def wrong(simulator: Simulator, told: Told, start_ms: int, end_ms: int) -> list[str]:
    """How the final candles received in [start_ms, end_ms) differ from the exchange's, digit by digit."""
    found = []
    for pair in told.pairs:
        should = truth(simulator, pair.replace("/USDT:USDT", "USDT"), "3m", start_ms, end_ms)
        has = {open_ms: final for open_ms, final in told.finals[pair].items() if start_ms <= open_ms < end_ms}
        found += [f"{pair} {open_ms} not told or too many" for open_ms in should.keys() ^ has.keys()]
        for open_ms in should.keys() & has.keys():
            found += [
                f"{pair} {open_ms} {name} {has[open_ms][name]!r}: the exchange says {should[open_ms][column]!r}"
                for name, column in COLUMNS.items()
                if has[open_ms][name] != should[open_ms][column]
            ]
    return found


def test_readers_receive_every_candle_during_an_influxdb_outage_and_a_restart_in_it(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    simulator = start_simulator("--pairs", "8", "--seed", "21", "--start-ms", str(before_a_close(lead_seconds())))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=["[fill]", "hours = 2", "rollup_windows = 4"])
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        with following(collector) as told:
            eventually(lambda: told.live_seq is not None, 20, what="live")
            assert len(told.pairs) == 8
            assert {pair.replace("/USDT:USDT", "USDT") for pair in told.pairs} <= set(told.symbols)
            fresh_influx.server.kill()
            forming_ms = next_close_ms(simulator) - CANDLE_MS
            eventually(
                lambda: all(forming_ms in told.finals[pair] for pair in told.pairs), CLOSE_SECONDS, what="every close"
            )
            assert not told.missed, told.missed[:5]
            assert wrong(simulator, told, forming_ms, forming_ms + CANDLE_MS) == []
            assert all(order == sorted(set(order)) for order in told.order.values())
            assert {"open", "mark_price", "heartbeat"} <= told.kinds

            joined = snapshot(collector)
            assert joined.boot_id == told.boot_id
            assert wrong(simulator, joined, forming_ms, forming_ms + CANDLE_MS) == []
            assert all(len(joined.finals[pair]) >= 20 for pair in joined.pairs)
            assert collector.total("marketdata_stream_candles_unacknowledged") >= 8
            eventually(lambda: not collector.total("marketdata_points_in_queue"), 10, what="all spooled")
            eventually(lambda: not collector.total("marketdata_points_in_batch"), 10, what="all spooled")
            assert collector.stop() == 0

        collector.start()
        eventually(lambda: (status := collector.status()) and status["pairs"] == 8, 60, what="watching again")
        restarted = snapshot(collector)
        assert restarted.boot_id != told.boot_id
        assert restarted.pairs == told.pairs
        assert wrong(simulator, restarted, forming_ms, forming_ms + CANDLE_MS) == []

        fresh_influx.server.start()
        eventually(
            lambda: not collector.total("marketdata_stream_candles_unacknowledged"), 60, what="a store has all of them"
        )
        since = snapshot(collector, f"?since_ms={forming_ms + CANDLE_MS}")
        assert not any(forming_ms in since.finals[pair] for pair in since.pairs)
        assert collector.total("marketdata_stream_readers_cut_off_total") == 0
        assert collector.stop() == 0
