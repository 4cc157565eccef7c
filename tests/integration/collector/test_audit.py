"""`collector audit` beside a running collector: exactly the damage done by hand is found and corrected."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.__main__ import main
from tests.integration.closes import before_a_close
from tests.integration.collector.test_collector import pairs_of
from tests.integration.collector_process import CollectorProcess, collector_process, second_store, write_config
from tests.integration.damage import alter, delete, photograph
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import CANDLE_MS, INTERVAL_MS
from tools.demo.compare import FIELDS

HOUR_MS = 3_600_000
FILL_HOURS = 30
type Start = Callable[..., Simulator]
type Point = tuple[str, str, int]


def audit(config: Path, report: Path, *options: str) -> tuple[int, set[tuple[str, str, int, str]]]:
    """Run the command; return its exit code, and what it found: pair, interval, open time, kind."""
    code = main(["audit", "--config", str(config), "--report", str(report), *options])
    lines = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    return code, {(line["pair"], line["timeframe"], line["open_time_ms"], line["kind"]) for line in lines}


@dataclass(frozen=True)
class Filled:
    """A collector that has filled its stores; the audited span is `from_ms` to `newest_ms`, as returned by `span`."""

    collector: CollectorProcess
    config: Path
    report: Path
    pairs: list[str]
    from_ms: int
    newest_ms: int

    @property
    def span(self) -> tuple[str, ...]:
        """The command's options."""
        return ("--from", _iso(self.from_ms), "--to", _iso(self.newest_ms))


@contextmanager
def filled(
    folder: Path,
    start_simulator: Start,
    stores: Sequence[InfluxStack],
    *,
    pairs: int,
    seed: int,
    hours: int,
    windows: int,
) -> Iterator[Filled]:
    """Run a collector that has filled one store, or two; all but the oldest hour is the audited span."""
    start_ms = before_a_close(170)
    simulator = start_simulator("--pairs", str(pairs), "--seed", str(seed), "--start-ms", str(start_ms))
    # The ledger checks only at startup: otherwise it would repair the damage itself.
    extra = ["[fill]", f"hours = {hours}", f"rollup_windows = {windows}", "[ledger]", "check_seconds = 3600"]
    for store in stores[1:]:
        extra += second_store(store)
    config, url = write_config(folder, simulator, stores[0], extra=extra)
    newest_ms = start_ms // CANDLE_MS * CANDLE_MS
    with collector_process(config, url, folder) as collector:
        collector.wait_until_filled()
        from_ms = newest_ms - (hours - 1) * HOUR_MS
        yield Filled(collector, config, folder / "report.ndjson", pairs_of(simulator), from_ms, newest_ms)


def damage(
    influx: InfluxStack, points: dict[Point, dict[str, Any]], chance: random.Random
) -> set[tuple[str, str, int, str]]:
    """Alter or delete each point; return what the audit should report."""
    expected = set()
    for (pair, interval, time_ms), row in points.items():
        kind = chance.choice(("deleted", "altered"))
        if kind == "deleted":
            delete(influx, pair, interval, time_ms)
        else:
            name = chance.choice(FIELDS)
            value = f"{row['trades'] + 1}i" if name == "trades" else f"{(row[name] or row['close']) + 1.0}"
            alter(influx, pair, interval, time_ms, f"{name}={value}")
        expected.add((pair, interval, time_ms, "missing" if kind == "deleted" else "wrong"))
    return expected


def test_exactly_the_damaged_candles_and_windows_are_found_and_corrected_and_nothing_else_is_touched(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with filled(tmp_path, start_simulator, [fresh_influx], pairs=8, seed=21, hours=FILL_HOURS, windows=60) as filling:
        collector, config, report = filling.collector, filling.config, filling.report
        pairs, span = filling.pairs, filling.span
        newest_ms, from_ms = filling.newest_ms, filling.from_ms
        older = ("--from", _iso(newest_ms - 60 * HOUR_MS), "--to", _iso(from_ms), "--intervals", "1h,4h")
        assert audit(config, report, *span) == (0, set())
        assert audit(config, report, *older) == (0, set())

        chance = random.Random(4)
        before = photograph(fresh_influx, pairs, newest_ms)
        candles = [point for point in before if point[1] == "3m" and point[2] >= from_ms]
        windows = [p for p in before if p[1] != "3m" and from_ms <= p[2] <= newest_ms - 2 * INTERVAL_MS[p[1]]]
        fetched = [p for p in before if p[1] in ("1h", "4h") and newest_ms - 60 * HOUR_MS <= p[2] < from_ms]
        quiet = [point for point in candles if before[point]["trades"] == 0][:3]
        some = {*chance.sample(candles, 1_000), *chance.sample(windows, 50), *quiet}
        damaged = damage(fresh_influx, {point: before[point] for point in some}, chance)
        damaged_fetched = damage(fresh_influx, {p: before[p] for p in chance.sample(fetched, 8)}, chance)
        surplus = (pairs[0], "3m", from_ms + CANDLE_MS + 60_000)
        alter(fresh_influx, *surplus, "close=1,trades=0i")
        damaged.add((*surplus, "surplus"))

        capsys.readouterr()
        assert audit(config, report, *span) == (1, damaged)
        assert audit(config, report, *older) == (1, damaged_fetched)
        assert audit(config, report, *span, "--fix") == (1, damaged)
        assert audit(config, report, *older, "--fix") == (1, damaged_fetched)
        assert audit(config, report, *span) == (0, set())
        assert audit(config, report, *older) == (0, set())
        after = photograph(fresh_influx, pairs, newest_ms)
        changed = {point for point in before.keys() | after.keys() if before.get(point) != after.get(point)}
        assert changed == set(), sorted(changed)[:10]
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")
    state = tmp_path / "state"
    assert list((state / "spool-audit" / "main").glob("*/*")) == []


def test_each_of_two_stores_is_compared_and_corrected_on_its_own(
    tmp_path: Path, fresh_influx: InfluxStack, second_influx: InfluxStack, start_simulator: Start
) -> None:
    stores = [fresh_influx, second_influx]
    with filled(tmp_path, start_simulator, stores, pairs=4, seed=25, hours=6, windows=10) as filling:
        collector, config, report = filling.collector, filling.config, filling.report
        pairs, span = filling.pairs, filling.span
        newest_ms, from_ms = filling.newest_ms, filling.from_ms
        before = {store.url: photograph(store, pairs, newest_ms) for store in stores}
        chance = random.Random(6)
        for store, count in ((fresh_influx, 20), (second_influx, 30)):
            whole = [p for p in before[store.url] if from_ms <= p[2] < newest_ms - INTERVAL_MS[p[1]]]
            points = [point for point in whole if point[1] in ("3m", "15m")]
            damage(store, {p: before[store.url][p] for p in chance.sample(points, count)}, chance)
        assert audit(config, report, *span)[0] == 1
        by_store = Counter(json.loads(line)["store"] for line in report.read_text(encoding="utf-8").splitlines())
        assert by_store == {"main": 20, "second": 30}
        assert audit(config, report, *span, "--fix")[0] == 1
        assert audit(config, report, *span) == (0, set())
        after = {store.url: photograph(store, pairs, newest_ms) for store in stores}
        assert after == before
        assert collector.stop() == 0


def test_what_cannot_be_compared_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = start_simulator("--pairs", "8")
    config, _ = write_config(tmp_path, simulator, fresh_influx)
    assert main(["audit", "--config", str(config), "--pairs", "DOGUE/*"]) == 2
    assert "DOGUE/*" in capsys.readouterr().err
    assert main(["audit", "--config", str(config), "--from", "2030-01-01"]) == 2
    assert "--from" in capsys.readouterr().err
    for bad in (["--from", "yesterday"], ["--share", "90"], ["--intervals", "5m"]):
        with pytest.raises(SystemExit) as ended:
            main(["audit", "--config", str(config), *bad])
        assert ended.value.code == 2
        assert bad[1] in capsys.readouterr().err


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()
