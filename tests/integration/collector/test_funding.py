"""Settled funding and hourly mark price candles: the store against the exchange's own responses, by plain HTTP."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from marketdata.reader import MarketData, Store
from tests.integration.closes import CLOSE_SECONDS, lead_seconds
from tests.integration.collector_process import CollectorProcess, collector_process, write_config
from tests.integration.damage import delete_span
from tests.integration.rest_proxy import Denied, rest_proxy
from tests.integration.servers import InfluxStack, Simulator
from tests.integration.store_truth import stored
from tests.support import eventually

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SMALL_FILL = ["[fill]", "hours = 2", "rollup_windows = 10", "[funding]", "history_days = 5"]
type Start = Callable[..., Simulator]


def before_midnight(seconds: int) -> int:
    """A start of the simulated clock, this long before the beginning of yesterday, when every pair settles."""
    return time.time_ns() // 1_000_000 // DAY_MS * DAY_MS - DAY_MS - seconds * 1000


def symbols_of(simulator: Simulator) -> list[str]:
    return list(simulator.fetch("/_control/state")["pairs"])


def pair_of(symbol: str) -> str:
    return symbol.removesuffix("USDT") + "/USDT:USDT"


def settled(simulator: Simulator, symbol: str, start_ms: int, end_ms: int) -> dict[int, tuple[float, float]]:
    """What the exchange reports for a symbol in [start, end]: rate and mark price by funding time."""
    rows = simulator.fetch(
        f"/fapi/v1/fundingRate?symbol={quote(symbol)}&startTime={start_ms}&endTime={end_ms}&limit=1000"
    )
    return {row["fundingTime"]: (float(row["fundingRate"]), float(row["markPrice"])) for row in rows}


def quote(symbol: str) -> str:
    return "".join(f"%{byte:02X}" for byte in symbol.encode())


def stored_rates(influx: InfluxStack, symbol: str) -> dict[int, tuple[float, float]]:
    points = stored(influx, "market_data", "funding_settled", pair_of(symbol))
    return {at: (row["rate"], row["mark_price"]) for at, row in points.items()}


def stored_marks(influx: InfluxStack, symbol: str) -> dict[int, list[float]]:
    points = stored(influx, "market_data", "mark_ohlcv_1h", pair_of(symbol))
    return {at: [row["open"], row["high"], row["low"], row["close"]] for at, row in points.items()}


def marks(simulator: Simulator, symbol: str, start_ms: int, end_ms: int) -> dict[int, list[float]]:
    path = f"/fapi/v1/markPriceKlines?symbol={quote(symbol)}&interval=1h&startTime={start_ms}&endTime={end_ms - 1}"
    return {row[0]: [float(text) for text in row[1:5]] for row in simulator.fetch(path + "&limit=1000")}


def nothing_missing(collector: CollectorProcess) -> bool:
    """Whether the history of both kinds was checked, fetched and delivered."""
    metrics = collector.metrics()
    value = {name: number for (name, _), number in metrics.items()}
    newest = [number for (name, _), number in metrics.items() if name == "marketdata_funding_settled_timestamp_seconds"]
    on_the_way = sum(value[f"marketdata_points_in_{place}"] for place in ("queue", "batch", "spool"))
    return bool(
        newest
        and all(newest)
        and not value["marketdata_funding_settled_missing"]
        and not value["marketdata_mark_candles_missing"]
        and not on_the_way
    )


def requests_of(collector: CollectorProcess, route: str) -> float:
    return collector.total("marketdata_exchange_requests_total", route=f"/fapi/v1/{route}")


def test_history_is_complete_what_settles_is_stored_once_and_a_restart_requests_nothing_again(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    lead = lead_seconds()
    start_ms = before_midnight(lead)
    midnight_ms = start_ms + lead * 1000
    simulator = start_simulator("--pairs", "12", "--seed", "21", "--start-ms", str(start_ms))
    symbols = symbols_of(simulator)
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=SMALL_FILL)
    with collector_process(config, url, tmp_path) as collector:
        collector.wait_until_filled()

        def all_settled() -> bool:
            name = "marketdata_funding_settled_timestamp_seconds"
            newest = [number for (found, _), number in collector.metrics().items() if found == name]
            return min(newest) * 1000 >= midnight_ms and nothing_missing(collector)

        eventually(all_settled, CLOSE_SECONDS, what="the rates of midnight")
        first_ms = midnight_ms - 5 * DAY_MS + HOUR_MS  # even the history of a start after midnight reaches it
        for symbol in symbols:
            rates = stored_rates(fresh_influx, symbol)
            assert {at: row for at, row in rates.items() if at >= first_ms} == settled(
                simulator, symbol, first_ms, midnight_ms + 60_000
            )
            assert sum(at >= midnight_ms for at in rates) == 1
        last_ms = midnight_ms - HOUR_MS
        hours_there = {symbol: marks(simulator, symbol, first_ms, last_ms) for symbol in symbols}

        def hours_here() -> dict[str, dict[int, list[float]]]:
            here = {symbol: stored_marks(fresh_influx, symbol) for symbol in symbols}
            return {
                symbol: {at: row for at, row in rows.items() if first_ms <= at < last_ms}
                for symbol, rows in here.items()
            }

        # Before it has checked, the collector reports that nothing is missing: after midnight if the start was slow.
        eventually(lambda: hours_here() == hours_there, 60, what="the mark price hours before")
        before = {symbol: stored(fresh_influx, "market_data", "funding_settled", pair_of(symbol)) for symbol in symbols}
        assert collector.stop() == 0

        collector.start()
        collector.wait_until_filled()

        def last_hour_stored() -> bool:
            return all(midnight_ms - HOUR_MS in stored_marks(fresh_influx, symbol) for symbol in symbols)

        eventually(lambda: requests_of(collector, "fundingInfo") >= 1, 30, what="a check of the history")
        eventually(last_hour_stored, 90, what="the mark price hour before midnight")
        eventually(lambda: nothing_missing(collector), 30, what="nothing missing")
        assert requests_of(collector, "fundingRate") == 0
        assert requests_of(collector, "markPriceKlines") <= len(symbols)
        for symbol in symbols:
            assert stored(fresh_influx, "market_data", "funding_settled", pair_of(symbol)) == before[symbol]
            hours = stored_marks(fresh_influx, symbol)
            assert hours == marks(simulator, symbol, min(hours), midnight_ms)
        assert collector.stop() == 0
    assert "ERROR" not in collector.log.read_text(encoding="utf-8")

    with MarketData([Store(fresh_influx.url, token=fresh_influx.token("reader", "library"))]) as data:
        start, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (first_ms, midnight_ms + 60_000))
        frame = data.get_funding_history("BTC/USDT:USDT", start, end)
    exchange = settled(simulator, "BTCUSDT", first_ms, midnight_ms + 60_000)
    assert [round(date.timestamp() * 1000) for date in frame["date"]] == list(exchange)
    assert list(zip(frame["rate"], frame["mark_price"], strict=True)) == list(exchange.values())


def test_the_history_of_164_pairs_stays_inside_the_funding_bucket(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_midnight(-HOUR_MS // 1000 * 2 - 600)
    simulator = start_simulator("--pairs", "164", "--seed", "22", "--start-ms", str(start_ms))
    config, url = write_config(tmp_path, simulator, fresh_influx, extra=["[fill]", "hours = 1", "rollup_windows = 1"])
    with collector_process(config, url, tmp_path) as collector:
        eventually(lambda: collector.status() is not None, 90, what="the collector responds")

        def whole() -> bool:
            metrics = {name: number for (name, _), number in collector.metrics().items()}
            newest = collector.total("marketdata_funding_settled_timestamp_seconds")
            return newest > 0 and not metrics["marketdata_funding_settled_missing"]

        eventually(whole, 100, what="30 days of funding")
        log: list[dict[str, Any]] = simulator.fetch("/_control/log")
        assert 0 < sum(minute["funding_requests"] for minute in log) <= 150
        assert sum(minute["refused_429"] + minute["refused_418"] for minute in log) == 0
        first_ms = start_ms - 30 * DAY_MS + 60_000
        eventually(lambda: not collector.total("marketdata_points_in_spool"), 30, what="all delivered")
        for symbol in symbols_of(simulator)[::20]:
            rates = {at: row for at, row in stored_rates(fresh_influx, symbol).items() if at >= first_ms}
            assert rates == settled(simulator, symbol, first_ms, start_ms)
        assert collector.stop() == 0


def test_an_exchange_that_only_responds_by_symbol_and_dates_rates_differently_each_time_loses_and_duplicates_none(
    tmp_path: Path, fresh_influx: InfluxStack, start_simulator: Start
) -> None:
    start_ms = before_midnight(-2 * HOUR_MS // 1000)
    simulator = start_simulator("--pairs", "8", "--seed", "23", "--start-ms", str(start_ms))
    symbols = symbols_of(simulator)
    asked: list[str] = []

    def change(path: str, query: dict[str, str], answer: Any) -> Any:
        if path != "/fapi/v1/fundingRate":
            return answer
        asked.append(query.get("symbol", ""))
        if "symbol" not in query:
            raise Denied(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        return [row | {"fundingTime": row["fundingTime"] + len(asked) % 5, "markPrice": ""} for row in answer]

    def points_of(symbol: str) -> dict[int, dict[str, Any]]:
        return stored(fresh_influx, "market_data", "funding_settled", pair_of(symbol))

    def assert_whole() -> None:
        first_ms = start_ms - DAY_MS + 60_000
        for symbol in symbols:
            exchange = [
                (at // 60_000, rate) for at, (rate, _) in settled(simulator, symbol, first_ms, start_ms).items()
            ]
            points = points_of(symbol)
            assert [(at // 60_000, row["rate"]) for at, row in points.items() if at >= first_ms] == exchange
            assert not any("mark_price" in row for row in points.values())

    one_day = ["[fill]", "hours = 2", "rollup_windows = 10", "[funding]", "history_days = 1"]
    with rest_proxy(simulator, change) as rest_url:
        config, url = write_config(tmp_path, simulator, fresh_influx, exchange={"rest_url": rest_url}, extra=one_day)
        with collector_process(config, url, tmp_path) as collector:
            collector.wait_until_filled()
            eventually(lambda: nothing_missing(collector), 60, what="the history")
            assert_whole()
            assert set(asked) == {"", *symbols}
            assert collector.stop() == 0

            damaged = max(symbols, key=lambda symbol: len(points_of(symbol)))
            before = list(points_of(damaged))
            delete_span(fresh_influx, pair_of(damaged), "market_data", "funding_settled", before[1], before[-2])
            assert list(points_of(damaged)) == [before[0], before[-1]]
            asked.clear()
            collector.start()
            eventually(lambda: len(points_of(damaged)) == len(before), 60, what="the deleted rates")
            assert_whole()
            assert set(points_of(damaged)) >= {before[0], before[-1]}
            assert damaged in asked
            assert set(asked) <= {"", damaged}
            assert collector.stop() == 0
