"""The universe changes and single streams fall silent; the other pairs never notice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collector.__main__ import main
from tests.integration.closes import CLOSE_SECONDS, before_a_close, next_close_ms
from tests.integration.collector.test_collector import all_closed, delivered, pairs_of
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.rest_proxy import Query, rest_proxy
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import differences
from tests.support import eventually

type Start = Callable[..., Simulator]

FILL = ["[fill]", "hours = 2", "rollup_windows = 10", "[ledger]", "check_seconds = 5"]


def state_of(collector: CollectorProcess, pair: str) -> str:
    """The state of a pair in /metrics; empty for an unknown pair."""
    states = [
        dict(labels)["state"]
        for (name, labels), _ in collector.metrics().items()
        if name == "marketdata_pair_state" and dict(labels)["pair"] == pair
    ]
    return states[0] if states else ""


def test_a_listing_is_collected_and_filled_and_a_delisted_pair_dropped_without_a_gap_in_any_other(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(100)
    simulator = start_simulator("--pairs", "8", "--seed", "21", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=FILL)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        stayed = pairs_of(simulator)[:-1]
        left = pairs_of(simulator)[-1]
        connections = collector.total("marketdata_connections_opened_total")
        listed_ms = start_ms // 3_600_000 * 3_600_000
        simulator.fetch("/_control/faults", {"kind": "listing", "symbol": "NEWBORNUSDT", "at_ms": listed_ms})
        simulator.fetch("/_control/faults", {"kind": "delisting", "symbol": pair_symbol(left)})
        new = "NEWBORN/USDT:USDT"
        eventually(lambda: state_of(collector, new) == "listed", 75, what="the listing is seen")
        assert state_of(collector, left) == "delisted"
        close_ms = next_close_ms(simulator)
        eventually(
            lambda: collector.total("marketdata_messages_total", pair=new, channel="mark_price") > 0, 20, what="streams"
        )
        eventually(lambda: all_closed(collector, close_ms), CLOSE_SECONDS, what="every close")
        assert not collector.total(
            "marketdata_last_final_candle_timestamp_seconds", pair=left
        )  # it is expected to be silent
        eventually(lambda: collector.total("marketdata_pairs_watched") == 8, 80, what="dropped after its last candle")
        eventually(lambda: delivered(collector), 20, what="all delivered")
        first_ms = close_ms - 2 * 3_600_000

        def wrong() -> list[str]:
            found = [d for pair in stayed for d in differences(fresh_influx, simulator, pair, "3m", first_ms, close_ms)]
            return found + differences(fresh_influx, simulator, new, "3m", listed_ms, close_ms)

        eventually(lambda: wrong() == [], 30, what="the store equals the exchange")
        last = differences(fresh_influx, simulator, left, "3m", first_ms, close_ms)
        assert last == []  # up to its last candle
        ended = [
            value
            for (name, labels), value in collector.metrics().items()
            if name == "marketdata_connections_ended_total" and dict(labels)["reason"] != "planned"
        ]
        assert sum(ended) == 0
        assert collector.total("marketdata_connections_opened_total") >= connections + 2
        assert collector.status()["ready"] == "yes"
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")


def test_an_empty_exchange_info_changes_nothing_and_a_silent_pair_is_reported_resubscribed_and_served(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(60)
    simulator = start_simulator("--pairs", "12", "--seed", "22", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=FILL)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        pairs = pairs_of(simulator)
        silent = pairs[3]
        simulator.fetch("/_control/faults", {"kind": "short_exchange_info"})
        fault = simulator.fetch("/_control/faults", {"kind": "silent_symbol", "symbol": pair_symbol(silent)})
        close_ms = next_close_ms(simulator)

        def told(channel: str) -> float:
            return collector.total("marketdata_stream_silent", pair=silent, channel=channel)

        eventually(lambda: told("mark_price") == 1, 100, what="the silence is reported")
        # Only for this pair; its candles are reported as silent, too, if a close has passed.
        assert collector.total("marketdata_stream_silent") == collector.total("marketdata_stream_silent", pair=silent)
        eventually(lambda: collector.total("marketdata_connections_open", channel="mark_price") == 2, 10, what="again")
        eventually(lambda: all_closed(collector, close_ms), CLOSE_SECONDS, what="every close")
        assert collector.status()["pairs_stale"] == []
        simulator.fetch(f"/_control/faults/{fault['id']}", method="DELETE")
        eventually(lambda: told("mark_price") == 0, 20, what="the stream delivers again")
        eventually(lambda: delivered(collector), 20, what="all delivered")
        first_ms = close_ms - 2 * 3_600_000
        found = [d for pair in pairs for d in differences(fresh_influx, simulator, pair, "3m", first_ms, close_ms)]
        assert found == []
        assert collector.total("marketdata_pairs_watched") == 12
        assert {state_of(collector, pair) for pair in pairs} == {"listed"}
        assert collector.stop() == 0
    log = collector.log.read_text(encoding="utf-8")
    assert log.count("ERROR") == 1  # the empty exchangeInfo, however often it came
    silences = [line for line in log.splitlines() if "stream silent" in line]
    # Later, if the close was missed, also for its candles and the connection of its second subscription; no others.
    assert all(f"pairs=1 first={silent}" in line or "streams=1 " in line for line in silences)
    assert sum("channel=mark_price pairs=" in line for line in silences) == 1


def test_a_halted_pair_is_reported_as_halted_and_stays_collected_and_the_others_never_notice(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_a_close(80)
    simulator = start_simulator("--pairs", "8", "--seed", "23", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=FILL)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()
        pairs = pairs_of(simulator)
        halted = pairs[2]
        fault = simulator.fetch("/_control/faults", {"kind": "halt", "symbol": pair_symbol(halted)})
        eventually(lambda: state_of(collector, halted) == "halted", 75, what="the halt is seen")
        close_ms = next_close_ms(simulator)
        eventually(lambda: all_closed(collector, close_ms), CLOSE_SECONDS, what="every close")
        assert collector.status()["pairs_stale"] == []
        assert collector.total("marketdata_stream_silent") == 0  # expected to be silent
        simulator.fetch(f"/_control/faults/{fault['id']}", method="DELETE")
        eventually(lambda: state_of(collector, halted) == "listed", 75, what="it trades again")
        eventually(lambda: delivered(collector), 20, what="all delivered")
        first_ms = close_ms - 2 * 3_600_000
        found = [d for pair in pairs for d in differences(fresh_influx, simulator, pair, "3m", first_ms, close_ms)]
        assert found == []
        assert {state_of(collector, pair) for pair in pairs} == {"listed"}
        assert collector.total("marketdata_connections_opened_total") == 2  # one for each channel, and no other
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")


def pair_symbol(pair: str) -> str:
    return pair.replace("/USDT:USDT", "USDT")


def test_a_configured_pair_that_is_gone_after_a_restart_is_reported_and_the_others_are_collected(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = start_simulator("--pairs", "8", "--seed", "23")
    stays, gone = pairs_of(simulator)[:2]
    listed = {pair_symbol(stays), pair_symbol(gone)}

    def change(path: str, _query: Query, answer: Any) -> object:
        if path != "/fapi/v1/exchangeInfo":
            return answer
        return {**answer, "symbols": [row for row in answer["symbols"] if row["symbol"] in listed]}

    with rest_proxy(simulator, change) as url:
        exchange = {"rest_url": url, "pairs": [stays, gone]}
        config, address = write_config(tmp_path, simulator, fresh_influx, exchange=exchange, extra=FILL)
        with collector_process(config, address, tmp_path) as collector:
            collector.wait_until_filled()
            assert collector.stop() == 0
            listed.remove(pair_symbol(gone))
            collector.start()
            collector.wait_until_filled()
            assert (state_of(collector, stays), state_of(collector, gone)) == ("listed", "delisted")
            assert collector.total("marketdata_pairs_watched") == 1
            assert main(["check", "--config", str(config)]) == 0
            told = [line for line in capsys.readouterr().err.splitlines() if gone in line]
            assert len(told) == 1, told
            assert told[0].startswith("collector: warning: exchange.pairs: ")
            assert main(["audit", "--config", str(config), "--intervals", "3m"]) in {0, 1}, "compares what is left"
            assert collector.stop() == 0
        (tmp_path / "new").mkdir()
        config, _ = write_config(tmp_path / "new", simulator, fresh_influx, exchange=exchange)
        assert main(["run", "--config", str(config)]) == 2, "a first start knows no pairs: the name may be wrong"
