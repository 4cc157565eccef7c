"""The demo's screen fits the terminals it is made for, whatever the pairs are called."""

from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from tools.demo.run import Run
from tools.demo.screen import plain_line, render
from tools.demo.store_truth import Sample, tags_of
from tools.demo.view import Reading, View

NOW_MS = 1_795_348_800_000


def status(frames: int = 100_000, *, stage: str = "done", live: int = 164) -> dict[str, Any]:
    return {
        "pairs": 164,
        "pairs_live": live,
        "pairs_halted": [],
        "pairs_stale": ["1000000MOGWITHALONGNAME/USDT:USDT"] * 4,
        "frames": {"candles_3m": frames, "mark_price": frames},
        "closes": {"stream": 123_456, "rest": 1_234},
        "connections": [{"channel": "candles_3m", "streams": 164, "open": True, "silent": False}] * 4,
        "fill": {"stage": stage, "candles": [159_856, 160_720], "windows": [300_000, 327_344]},
        "stores": {
            "main": {
                "points_acknowledged": frames * 2,
                "points_in_spool": 1_234_567,
                "spool_files": 12_345,
                "rollup_windows_dirty": 259,
                "last_rollup_repair_seconds": NOW_MS / 1000,
            }
        },
        "weight_used_in_minute": 1_720,
    }


def a_view() -> View:
    view = View("simulator", "/home/somebody/marketdata-platform/.demo/logs", seconds=240, live_at=50.0)
    view.phase = "live"
    view.run = Run(
        rest_url="https://127.0.0.1:41075",
        ca_file=None,
        influx_url="http://127.0.0.1:60561",
        org="marketdata",
        reader_token_file="",
        collector_url="http://127.0.0.1:51999",
        prometheus_url="http://127.0.0.1:54539",
        provisioned_ms=0,
        collector_started_ms=0,
        gateway_url="http://127.0.0.1:58090",
        alertmanager_url="http://127.0.0.1:59093",
        grafana_url="http://127.0.0.1:53000",
        grafana_password_file="/home/somebody/marketdata-platform/.demo/secrets/grafana.password",
    )
    view.add(Reading(90.0, status()))
    view.add(Reading(95.0, status(102_000)))
    view.marks = {f"币安人生{i}/USDT:USDT": Sample(NOW_MS - i * 100, 0.00000123 * i) for i in range(164)}
    view.windows_ms = dict.fromkeys(("15m", "1h", "4h", "1d"), NOW_MS)
    view.delays_seconds = [0.2, 0.3]
    view.now_ms = NOW_MS
    view.tell("status", "the collector does not answer: " + "because " * 30)
    return view


def lines(view: View, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(render(view, width, height, 100.0))
    return captured.get().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60)])
def test_the_fullest_screen_fits(width: int, height: int) -> None:
    shown = lines(a_view(), width, height)
    assert len(shown) <= height
    assert all(cell_len(line) <= width for line in shown)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_what_a_person_looks_for_is_on_the_screen(width: int, height: int) -> None:
    text = "\n".join(lines(a_view(), width, height))
    for word in ("164 live", "stale", "freshest", "stalest", "400", "p99", "spool", "roll-ups", "Ctrl-C", "logs"):
        assert word in text
    for address in (":41075", ":60561", ":51999", ":54539", ":59093", ":53000", ":58090"):
        assert address in text
    assert "admin, secrets/grafana.password" in text


def test_an_ordinary_screen_of_80_columns_cuts_nothing_off() -> None:
    view = a_view()
    view.tell("status", "")
    for reading in view.readings:
        reading.status["pairs_stale"].clear()
    assert "…" not in "\n".join(lines(view, 80, 24))


def test_pairs_fill_a_tall_screen_stalest_first() -> None:
    text = "\n".join(lines(a_view(), 120, 40))
    assert "币安人生162/USDT" in text
    assert "币安人生1/USDT" not in text


def test_a_collector_that_has_not_answered_yet_is_a_screen_too() -> None:
    assert lines(View("simulator", ".demo/logs"), 80, 24)


def test_a_log_line_is_one_line() -> None:
    line = plain_line(a_view(), 100.0)
    assert "\n" not in line
    assert "pairs=164" in line
    assert "\n" not in plain_line(View("simulator", ".demo/logs"), 1.0)


def read_in_the_store(view: View, pairs: int, candle_ms: int = NOW_MS) -> None:
    view.candle_due_ms = NOW_MS
    view.candles = {f"P{i}/USDT:USDT": Sample(candle_ms, 1.0) for i in range(pairs)}
    view.marks = {pair: Sample(NOW_MS, 1.0) for pair in view.candles}


@pytest.mark.parametrize("stage", ["newest", "candles", "windows", "done"])
def test_live_is_every_pair_live_and_readable_however_far_the_older_history_is(stage: str) -> None:
    view = View("simulator", ".demo/logs")
    assert not view.live
    view.add(Reading(1.0, status(stage=stage)))
    assert not view.live
    read_in_the_store(view, 164)
    assert view.live
    assert view.filled is (stage == "done")
    assert stage in view.not_filled()


@pytest.mark.parametrize(
    ("live", "readable", "candle_ms"), [(163, 164, NOW_MS), (164, 163, NOW_MS), (164, 164, NOW_MS - 180_000)]
)
def test_one_pair_that_is_not_live_or_not_readable_up_to_now_is_named(live: int, readable: int, candle_ms: int) -> None:
    view = View("simulator", ".demo/logs")
    view.add(Reading(1.0, status(live=live)))
    read_in_the_store(view, readable, candle_ms)
    assert not view.live
    assert "of 164 pairs" in view.not_live()


def test_a_halted_pair_is_not_waited_for() -> None:
    view = View("simulator", ".demo/logs")
    halted = {**status(live=163), "pairs_halted": ["P163/USDT:USDT"]}
    view.add(Reading(1.0, halted))
    read_in_the_store(view, 163)
    assert view.live


def test_before_all_answers_the_screen_shows_how_far_each_part_is() -> None:
    view = View("simulator", ".demo/logs")
    view.parts = {"InfluxDB": "http://127.0.0.1:60561", "simulator": "starts"}
    shown = lines(view, 80, 24)
    assert any(line.split() == ["InfluxDB", "http://127.0.0.1:60561"] for line in shown)
    assert any(line.split() == ["simulator", "starts"] for line in shown)
    assert any(line.split() == ["gateway", "waits"] for line in shown)
    assert any(line.split() == ["fill", "-"] for line in shown)


def test_the_newest_problem_is_shown_until_it_is_over() -> None:
    view = View("simulator", ".demo/logs")
    view.tell("store", "the store is away")
    view.tell("status", "the collector is away")
    assert view.problem == "the collector is away"
    view.tell("status", "")
    assert view.problem == "the store is away"
    view.tell("store", "")
    assert view.problem == ""


def test_the_tags_of_a_series_are_read_with_their_escapes() -> None:
    assert tags_of("ohlcv_3m,exchange=BINANCE_FUTURES,pair=BTC/USDT:USDT") == {
        "exchange": "BINANCE_FUTURES",
        "pair": "BTC/USDT:USDT",
    }
    assert tags_of(r"m,pair=a\,b\=c\ d") == {"pair": "a,b=c d"}
