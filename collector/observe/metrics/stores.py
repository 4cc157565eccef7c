"""Metrics of what the stores should hold: roll-ups, ledger, sweep, settled funding and mark price hours, first fill."""

from collector.model.gap import REASONS as GAP_REASONS
from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts
from collector.repair.ledger import Ledger
from marketdata.schema import NOT_AT_EXCHANGE


def rollups(parts: Parts) -> Families:
    """Windows waiting to be re-rolled, and the runs of the script."""
    dirty = gauge("rollup_windows_dirty", "Windows waiting to be re-rolled", ("store",))
    last = gauge("rollup_repair_timestamp_seconds", "When windows were last re-rolled; 0 if never", ("store",))
    runs = counter("rollup_repair_runs", "Runs of a roll-up script by the collector", ("store",))
    failures = counter("rollup_repair_failures", "Of these, runs that failed and will be retried", ("store",))
    for store, rollups in ((store.name, store.rollups) for store in parts.pipeline.stores.values()):
        dirty.add_metric([store], len(rollups.dirty))
        last.add_metric([store], rollups.last_rollup_seconds)
        runs.add_metric([store], rollups.runs)
        failures.add_metric([store], rollups.failures)
    yield from (dirty, last, runs, failures)


def ledgers(parts: Parts) -> Families:
    """Gaps of each store."""
    repairer = parts.watching.repairer if parts.watching else None
    ledgers = {store.name: store.ledger for store in repairer.stores} if repairer else {}
    passes = repairer.last_pass_seconds if repairer else {}
    is_open = gauge("gaps_open", "Candles missing in the store that the exchange may have", ("store",))
    found = counter("gaps_found", "Candles found missing in the store, by reason", ("store", "reason"))
    repaired = counter("gaps_repaired", "Of these, candles that the store has now", ("store",))
    holes = gauge("exchange_holes", "Missing candles that the exchange itself does not have", ("store",))
    invalid = gauge(
        "exchange_invalid", "Missing candles for which the exchange only has a row that cannot be a candle", ("store",)
    )
    filled = counter(
        "exchange_holes_filled",
        "Candles that the exchange once lacked and that are stored now, by their previous state",
        ("store", "state"),
    )
    last = gauge(
        "ledger_pass_timestamp_seconds", "When the store was last found complete or repaired; 0 if never", ("store",)
    )
    for store in parts.pipeline.stores:
        ledger = ledgers.get(store, Ledger())
        is_open.add_metric([store], ledger.gaps_open)
        for reason in GAP_REASONS:
            found.add_metric([store, reason], ledger.found[reason])
        repaired.add_metric([store], ledger.repaired)
        holes.add_metric([store], ledger.exchange_holes)
        invalid.add_metric([store], ledger.invalid_candles)
        for state in NOT_AT_EXCHANGE:
            filled.add_metric([store, state], ledger.filled[state])
        last.add_metric([store], passes.get(store, 0.0))
    yield from (is_open, found, repaired, holes, invalid, filled, last)


def sweep(parts: Parts) -> Families:
    """What the verify sweep compared."""
    verified = counter("candles_verified", "Stored base candles that the sweep compared", ("store",))
    corrected = counter("candles_corrected", "Of these, candles that were wrong and rewritten", ("store",))
    sweep = parts.watching.sweep if parts.watching else None
    for store in parts.pipeline.stores:
        verified.add_metric([store], sweep.verified[store] if sweep else 0)
        corrected.add_metric([store], sweep.corrected[store] if sweep else 0)
    yield from (verified, corrected)


def history(parts: Parts) -> Families:
    """Settled funding and mark price hours."""
    watching = parts.watching
    newest = gauge(
        "funding_settled_timestamp_seconds",
        "Newest settled funding rate that is stored or on its way; 0 if none",
        ("exchange", "pair"),
    )
    for pair in parts.listed:
        newest.add_metric([parts.exchange, pair], watching.funding.newest_ms.get(pair, 0) / 1000 if watching else 0)
    settled = gauge("funding_settled_missing", "Settled funding rates that a store lacks", ("exchange",))
    settled.add_metric([parts.exchange], watching.funding.missing if watching else 0)
    hours = gauge("mark_candles_missing", "Hourly mark price candles that a store lacks", ("exchange",))
    hours.add_metric([parts.exchange], watching.marks.missing if watching else 0)
    yield from (newest, settled, hours)


def fill(parts: Parts) -> Families:
    """Progress of the fill at startup."""
    state = parts.watching.repairer.state if parts.watching else None
    missing = gauge("fill_missing", "Rows the stores lacked at startup", ("kind",))
    fetched = gauge("fill_fetched", "Of these, rows requested so far", ("kind",))
    for kind, total, done in (
        ("candles", state.candles_missing if state else 0, state.candles_fetched if state else 0),
        ("windows", state.windows_missing if state else 0, state.windows_fetched if state else 0),
    ):
        missing.add_metric([kind], total)
        fetched.add_metric([kind], done)
    complete = gauge("fill_complete", "1 once everything is stored and rolled up", ())
    complete.add_metric([], bool(state and state.done))
    yield from (missing, fetched, complete)
