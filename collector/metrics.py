"""Every metric of the collector, read from the parts at scrape time: nothing is counted twice, nothing per event.

Names, labels and meanings are documented in docs/metrics.md (a test compares). Timestamps, not ages; base units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as PrometheusCollector

from collector.confirm import Confirmer
from collector.connection import ConnectionState, ConnectionTotals
from collector.events import CANDLE_MS, CANDLES, FUNDING, MARK_PRICE
from collector.funding import SettledFunding
from collector.influx import Outcome, Retry
from collector.ingest import Ingest
from collector.ledger import REASONS as GAP_REASONS
from collector.ledger import Ledger
from collector.marks import MarkCandles
from collector.normalize import REASONS
from collector.points import PointCounters
from collector.repair import Repairer
from collector.rollups import RollupRepairer
from collector.silence import SilenceWatch
from collector.spool import Spool
from collector.stream import Stream
from collector.sweep import Sweep
from collector.universe_watch import LISTED, PairState
from exchange.circuit import CircuitState
from exchange.client import ExchangeClient
from marketdata.schema import EXCHANGE

LATENCY_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
FILTERED = ("open", "not_sampled", "duplicate", "superseded")
REFUSALS = (403, 418, 429, 451)
END_REASONS = ("planned", "silent", "lost", "unreachable", "refused")

type Families = Iterator[Metric]


@dataclass(slots=True)
class Parts:
    """What the metrics are read from. Parts that come later (the repairer, the confirmer) are set when they exist."""

    ingest: Ingest
    client: ExchangeClient
    points: dict[str, PointCounters]
    spool: Spool
    stream: Stream
    rollups: dict[str, RollupRepairer] = field(default_factory=dict)
    connections: list[ConnectionState] = field(default_factory=list)
    connection_totals: dict[str, ConnectionTotals] = field(default_factory=dict)
    pair_states: dict[str, PairState] = field(default_factory=dict)
    silence: SilenceWatch | None = None
    confirmer: Confirmer | None = None
    repairer: Repairer | None = None
    sweep: Sweep | None = None
    funding: SettledFunding | None = None
    marks: MarkCandles | None = None
    heartbeat_seconds: float = 0.0


class Histograms:
    """The distributions that must be counted as they happen; everything else is read at scrape time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        receive = Histogram(
            "marketdata_receive_latency_seconds",
            "Exchange event time to our receipt",
            ["exchange", "channel"],
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )
        self._receive = {channel: receive.labels(EXCHANGE, channel) for channel in (CANDLES, MARK_PRICE)}
        self._write = Histogram(
            "marketdata_write_duration_seconds",
            "One write request to a store, by what its answer means",
            ["store", "outcome"],
            buckets=LATENCY_BUCKETS_SECONDS,
            registry=registry,
        )

    def observe_receive(self, channel: str, seconds: float) -> None:
        """Count one frame; an exchange clock ahead of ours counts as 0."""
        self._receive[channel].observe(max(seconds, 0.0))

    def observe_write(self, store: str, outcome: Outcome, seconds: float) -> None:
        """Count one write request."""
        name = outcome.reason if isinstance(outcome, Retry) else type(outcome).__name__.lower()
        self._write.labels(store, name).observe(seconds)


class Exposition(PrometheusCollector):
    """Turns the parts' own counters into metric families when Prometheus asks."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Families:
        """Yield every family."""
        yield from self._frames()
        yield from self._pairs()
        yield from self._connections()
        yield from self._points()
        yield from self._spool()
        yield from self._exchange()
        yield from self._rollups()
        yield from self._ledgers()
        yield from self._sweep()
        yield from self._history()
        yield from self._stream()
        yield from self._process()

    def _frames(self) -> Families:
        labels = ("exchange", "channel")
        received = _counter("frames_received", "Frames that arrived", labels)
        used = _counter("frames_used", "Frames that became a final candle or a sample", labels)
        invalid = _counter("frames_invalid", "Frames that are no event for us", (*labels, "reason"))
        filtered = _counter("frames_filtered", "Frames that are no new point", (*labels, "reason"))
        for channel, counts in self._parts.ingest.frames.items():
            received.add_metric([EXCHANGE, channel], counts.received)
            used.add_metric([EXCHANGE, channel], counts.used)
            for reason in REASONS:
                invalid.add_metric([EXCHANGE, channel, reason], counts.invalid[reason])
            for why in FILTERED:
                filtered.add_metric([EXCHANGE, channel, why], counts.filtered[why])
        yield from (received, used, invalid, filtered)

    def _pairs(self) -> Families:
        labels = ("exchange", "pair", "channel")
        ingest = self._parts.ingest
        last = _gauge("last_message_timestamp_seconds", "Receipt of the newest frame; start of watching before", labels)
        messages = _counter("messages", "Frames of the pair", labels)
        final = _gauge("last_final_candle_timestamp_seconds", "Close time of the newest final candle", labels[:2])
        for pair, fresh in ingest.freshness.items():
            for channel in (CANDLES, MARK_PRICE, FUNDING):
                last.add_metric([EXCHANGE, pair, channel], fresh.last_message_seconds[channel])
                messages.add_metric([EXCHANGE, pair, channel], fresh.messages[channel])
            closed_ms = fresh.last_final_open_ms or ingest.finality.next_open_ms(pair) - CANDLE_MS
            final.add_metric([EXCHANGE, pair], (closed_ms + CANDLE_MS) / 1000)
        states = _gauge("pair_state", "1 for the state the pair is in", (*labels[:2], "state"))
        for pair in {**ingest.freshness, **self._parts.pair_states}:
            states.add_metric([EXCHANGE, pair, self._parts.pair_states.get(pair, LISTED)], 1)
        watched = _gauge("pairs_watched", "Pairs the collector is responsible for", ("exchange",))
        watched.add_metric([EXCHANGE], len(ingest.freshness))
        closes = _counter("candles_final", "Closes that became final, by where the final candle came from",
                          ("exchange", "origin"))  # fmt: skip
        for origin in ("stream", "rest"):
            closes.add_metric([EXCHANGE, origin], ingest.final_by_origin[origin])
        conflicts = _counter("candle_conflicts", "Closing frames that contradict the final candle", ("exchange",))
        conflicts.add_metric([EXCHANGE], ingest.finality.conflicts)
        absent = _counter("candles_absent", "Owed candles that the exchange itself does not have", ("exchange",))
        absent.add_metric([EXCHANGE], self._parts.confirmer.absent if self._parts.confirmer else 0)
        clock = _gauge("exchange_timestamp_seconds", "Exchange time as the collector knows it", ("exchange",))
        clock.add_metric([EXCHANGE], ingest.clock.now_ms() / 1000)
        yield from (last, messages, final, states, watched, closes, conflicts, absent, clock)

    def _connections(self) -> Families:
        labels = ("exchange", "channel")
        configured = _gauge("connections_configured", "WebSocket connections there should be", labels)
        is_open = _gauge("connections_open", "WebSocket connections that are open", labels)
        silent = _gauge("streams_silent", "Streams on connections that deliver nothing; REST serves them", labels)
        opened = _counter("connections_opened", "WebSocket connections opened", labels)
        ended = _counter("connections_ended", "Sessions and attempts that ended, by reason", (*labels, "reason"))
        for channel in (CANDLES, MARK_PRICE):
            states = [state for state in self._parts.connections if state.channel == channel]
            configured.add_metric([EXCHANGE, channel], len(states))
            is_open.add_metric([EXCHANGE, channel], sum(state.open for state in states))
            silent.add_metric([EXCHANGE, channel], sum(state.streams for state in states if state.silent))
            totals = self._parts.connection_totals.get(channel, ConnectionTotals())
            opened.add_metric([EXCHANGE, channel], totals.opened)
            for reason in sorted({*END_REASONS, *totals.ended}):
                ended.add_metric([EXCHANGE, channel, reason], totals.ended[reason])
        own = _gauge("stream_silent", "1 while the pair's stream is silent and REST serves it: not the same as stale",
                     ("exchange", "pair", "channel"))  # fmt: skip
        silence = self._parts.silence
        for pair in self._parts.ingest.freshness:
            for channel in (CANDLES, MARK_PRICE):
                own.add_metric([EXCHANGE, pair, channel], silence is not None and silence.is_silent(channel, pair))
        yield from (configured, is_open, silent, own, opened, ended)

    def _points(self) -> Families:
        counters = {
            name: _counter(f"points_{name}", help_text, ("store",))
            for name, help_text in (
                ("produced", "Points handed to the writer"),
                ("recovered_from_spool", "Points found in the spool at the start"),
                ("acknowledged", "Points the store has"),
                ("rejected", "Points the store refused as bad data"),
            )
        }
        gauges = {
            name: _gauge(f"points_{name}", help_text, ("store",))
            for name, help_text in (
                ("in_queue", "Points waiting to be batched"),
                ("in_batch", "Points in open batches"),
                ("in_spool", "Points on disk, not yet in the store"),
            )
        }
        dropped = _counter("points_dropped", "Points lost on purpose, by reason", ("store", "reason"))
        for store, points in self._parts.points.items():
            snapshot = points.snapshot()
            for name, counter in counters.items():
                counter.add_metric([store], getattr(snapshot, name))
            for name, gauge in gauges.items():
                gauge.add_metric([store], getattr(snapshot, name))
            for reason, count in snapshot.dropped.items():
                dropped.add_metric([store, reason], count)
        yield from (*counters.values(), *gauges.values(), dropped)

    def _spool(self) -> Families:
        files = _gauge("spool_files", "Files waiting for the store", ("store",))
        size = _gauge("spool_bytes", "Bytes waiting for the store", ("store",))
        fraction = _gauge("spool_fullness_ratio", "The fuller of the spool's two bounds, 0 to 1", ("store",))
        oldest = _gauge("spool_oldest_timestamp_seconds", "When the oldest waiting file was written; 0 if none",
                        ("store",))  # fmt: skip
        for store in self._parts.points:
            level = self._parts.spool.level(store)
            files.add_metric([store], level.files)
            size.add_metric([store], level.size_bytes)
            fraction.add_metric([store], level.fraction)
            oldest.add_metric([store], level.oldest_written_seconds or 0.0)
        yield from (files, size, fraction, oldest)

    def _exchange(self) -> Families:
        snapshot = self._parts.client.snapshot()
        budget = snapshot.budget
        used = _gauge("exchange_weight_used", "Weight this process spent in the running UTC minute", ("exchange",))
        share = _gauge("exchange_weight_share", "Weight this process may spend in a minute", ("exchange",))
        address = _gauge("exchange_address_weight_used", "Weight of the whole address in this minute, as the exchange"
                         " last told it", ("exchange",))  # fmt: skip
        refused = _counter("exchange_refused", "Answers that refuse us, by status", ("exchange", "status"))
        failed = _counter("exchange_failed", "Requests that failed, by error", ("exchange", "error"))
        requests = _counter("exchange_requests", "Requests sent, by route", ("exchange", "route"))
        circuit = _gauge("exchange_circuit_open", "1 while no request may leave after a refusal", ("exchange",))
        used.add_metric([EXCHANGE], budget.used_in_minute)
        share.add_metric([EXCHANGE], budget.share)
        address.add_metric([EXCHANGE], budget.ip_used_in_minute)
        for status in REFUSALS:
            refused.add_metric([EXCHANGE, str(status)], budget.refused.get(status, 0))
        for error, count in snapshot.failed_total.items():
            failed.add_metric([EXCHANGE, error], count)
        for route, count in snapshot.requests_total.items():
            requests.add_metric([EXCHANGE, route], count)
        circuit.add_metric([EXCHANGE], budget.circuit is not CircuitState.CLOSED)
        yield from (used, share, address, refused, failed, requests, circuit)

    def _rollups(self) -> Families:
        dirty = _gauge("rollup_windows_dirty", "Windows that wait to be rolled again", ("store",))
        last = _gauge("rollup_repair_timestamp_seconds", "When windows were last rolled again; 0 if never", ("store",))
        runs = _counter("rollup_repair_runs", "Runs of a roll-up script by the collector", ("store",))
        failures = _counter("rollup_repair_failures", "Such runs that failed and will be repeated", ("store",))
        for store, rollups in self._parts.rollups.items():
            dirty.add_metric([store], len(rollups.dirty))
            last.add_metric([store], rollups.last_rollup_seconds)
            runs.add_metric([store], rollups.runs)
            failures.add_metric([store], rollups.failures)
        yield from (dirty, last, runs, failures)

    def _ledgers(self) -> Families:
        repairer = self._parts.repairer
        ledgers = {store.name: store.ledger for store in repairer.stores} if repairer else {}
        passes = repairer.last_pass_seconds if repairer else {}
        is_open = _gauge("gaps_open", "Candles missing in the store that the exchange may have", ("store",))
        found = _counter("gaps_found", "Candles found missing in the store, by reason", ("store", "reason"))
        repaired = _counter("gaps_repaired", "Of these, candles the store has now", ("store",))
        holes = _gauge("exchange_holes", "Missing candles that the exchange itself does not have", ("store",))
        last = _gauge("ledger_pass_timestamp_seconds", "When the store was last found complete or repaired; 0 if never",
                      ("store",))  # fmt: skip
        for store in self._parts.points:
            ledger = ledgers.get(store, Ledger())
            is_open.add_metric([store], ledger.gaps_open)
            for reason in GAP_REASONS:
                found.add_metric([store, reason], ledger.found[reason])
            repaired.add_metric([store], ledger.repaired)
            holes.add_metric([store], ledger.exchange_holes)
            last.add_metric([store], passes.get(store, 0.0))
        yield from (is_open, found, repaired, holes, last)

    def _history(self) -> Families:
        funding, marks = self._parts.funding, self._parts.marks
        newest = _gauge("funding_settled_timestamp_seconds", "Newest settled funding rate that is stored or on its way;"
                        " 0 if none", ("exchange", "pair"))  # fmt: skip
        for pair in self._parts.ingest.freshness:
            newest.add_metric([EXCHANGE, pair], funding.newest_ms.get(pair, 0) / 1000 if funding else 0)
        settled = _gauge("funding_settled_missing", "Settled funding rates that a store lacks", ("exchange",))
        settled.add_metric([EXCHANGE], funding.missing if funding else 0)
        hours = _gauge("mark_candles_missing", "Hourly mark price candles that a store lacks", ("exchange",))
        hours.add_metric([EXCHANGE], marks.missing if marks else 0)
        requests = _gauge("exchange_funding_requests", "Requests of this process in the last 5 minutes that count"
                          " against the limit of the funding routes", ("exchange",))  # fmt: skip
        requests.add_metric([EXCHANGE], self._parts.client.snapshot().budget.funding_requests)
        yield from (newest, settled, hours, requests)

    def _stream(self) -> Families:
        stream = self._parts.stream
        readers = _gauge("stream_readers", "Readers of /stream connected", ())
        sent = _counter("stream_events_sent", "Events put on the way to readers, once for each reader", ())
        cut = _counter("stream_readers_cut_off", "Readers cut off because they were too far behind", ())
        waiting = _gauge("stream_candles_unacknowledged", "Final candles in memory that no store has acknowledged", ())
        forgotten = _counter("stream_candles_forgotten", "Of these, candles that left the memory at its bound", ())
        readers.add_metric([], stream.readers)
        sent.add_metric([], stream.events_sent)
        cut.add_metric([], stream.readers_cut_off)
        waiting.add_metric([], stream.recent.unacknowledged)
        forgotten.add_metric([], stream.recent.forgotten)
        yield from (readers, sent, cut, waiting, forgotten)

    def _sweep(self) -> Families:
        verified = _counter("candles_verified", "Stored 3m candles that the sweep compared", ("store",))
        corrected = _counter("candles_corrected", "Of these, candles that were wrong and are written again", ("store",))
        sweep = self._parts.sweep
        for store in self._parts.points:
            verified.add_metric([store], sweep.verified[store] if sweep else 0)
            corrected.add_metric([store], sweep.corrected[store] if sweep else 0)
        yield from (verified, corrected)

    def _process(self) -> Families:
        state = self._parts.repairer.state if self._parts.repairer else None
        missing = _gauge("fill_missing", "Rows the stores lacked at the start", ("kind",))
        fetched = _gauge("fill_fetched", "Of these, rows asked for so far", ("kind",))
        for kind, total, done in (
            ("candles", state.candles_missing if state else 0, state.candles_fetched if state else 0),
            ("windows", state.windows_missing if state else 0, state.windows_fetched if state else 0),
        ):
            missing.add_metric([kind], total)
            fetched.add_metric([kind], done)
        complete = _gauge("fill_complete", "1 once all of it is stored and rolled up", ())
        complete.add_metric([], bool(state and state.done))
        heartbeat = _gauge("event_loop_heartbeat_timestamp_seconds", "When the event loop last ran", ())
        heartbeat.add_metric([], self._parts.heartbeat_seconds)
        info = _gauge("build_info", "1, with versions as labels", ("version", "cryptofeed"))
        info.add_metric([version("marketdata-platform"), version("cryptofeed")], 1)
        yield from (missing, fetched, complete, heartbeat, info)


def _counter(name: str, help_text: str, labels: Iterable[str]) -> CounterMetricFamily:
    return CounterMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))


def _gauge(name: str, help_text: str, labels: Iterable[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"marketdata_{name}", help_text, labels=list(labels))
