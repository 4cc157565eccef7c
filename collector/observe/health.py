"""Whether the collector is ready, whether a part is stuck, and what state it is in. Pure readings of the parts."""

from collections.abc import Iterable
from typing import Any

from collector.delivery.writer import Writer
from collector.feed.connection import ConnectionState
from collector.feed.pacing import WINDOW_SECONDS
from collector.feed.symbols import HALTED, LISTED
from collector.observe.metrics import Parts
from exchange.events import CANDLE_MS, CANDLES, MARK_PRICE
from marketdata.thresholds import STALE_MS

FULL_RATIO = 0.5
"""A spool fuller than this is not ready: an upgrade must not continue with the next collector."""

FEED_STUCK_SECONDS = WINDOW_SECONDS + 60.0
"""A connection's longest step is its wait for a free place in the window of attempts."""

WRITER_STUCK_SECONDS = 120.0
"""One write to the spool; a slow disk is tolerated, one that does not respond at all ends the process."""


def not_ready(parts: Parts, wall_seconds: float) -> list[str]:
    """Return why the collector is not ready. A store that is down is no reason: the spool holds its points."""
    reasons = []
    ingest = parts.ingest
    if not ingest.freshness:
        return ["starting: the pairs are not known yet"]
    waiting = [
        pair
        for pair, fresh in ingest.freshness.items()
        if parts.state_of(pair) == LISTED
        and not (fresh.messages[CANDLES] or fresh.last_final_open_ms or fresh.messages[MARK_PRICE])
    ]
    if waiting:
        reasons.append(f"{len(waiting)} pairs have no data yet, neither by stream nor by REST: {waiting[0]} ...")
    stale = stale_pairs(parts, wall_seconds)
    if stale:
        reasons.append(f"{len(stale)} pairs are stale: {stale[0]} ...")
    full = [store for store in parts.pipeline.stores if parts.pipeline.spool.level(store).fraction > FULL_RATIO]
    return reasons + [f"the spool of store {store} is more than half full" for store in full]


def stale_pairs(parts: Parts, wall_seconds: float) -> list[str]:
    """Return pairs whose newest close is overdue by more than STALE_MS, or whose mark price has been silent as long."""
    ingest = parts.ingest
    now_ms = ingest.clock.now_ms()
    stale = []
    for pair, fresh in ingest.freshness.items():
        if parts.state_of(pair) != LISTED:
            continue  # halted, or about to end: nothing new is expected
        late_ms = now_ms - (ingest.finality.next_open_ms(pair) + CANDLE_MS)
        mark_age = wall_seconds - fresh.last_message_seconds[MARK_PRICE]
        if late_ms > STALE_MS or mark_age * 1000 > STALE_MS:
            stale.append(pair)
    return stale


def live_pairs(parts: Parts, wall_seconds: float) -> list[str]:
    """Return pairs that trade, have a mark price and have candles known up to now; none of them is stale.

    A pair without trades sends no candle frames until it has one: it is enough that its newest hours were requested.
    """
    stale = set(stale_pairs(parts, wall_seconds))
    known = parts.watching.repairer.known if parts.watching else set()
    return [
        pair
        for pair, fresh in parts.ingest.freshness.items()
        if parts.state_of(pair) == LISTED
        and pair not in stale
        and fresh.messages[MARK_PRICE]
        and (fresh.messages[CANDLES] or fresh.last_final_open_ms or pair in known)
    ]


def stuck(writer: Writer, connections: Iterable[ConnectionState], now: float) -> list[str]:
    """Return which parts have stopped making steps, one line each; a retry is a step. ``now``: monotonic seconds."""
    reasons = []
    if writer.stalled_seconds > WRITER_STUCK_SECONDS:
        reasons.append(f"the writer has not moved for {writer.stalled_seconds:.0f} s while points wait")
    for state in connections:
        idle = now - state.progressed_at
        if idle > FEED_STUCK_SECONDS:
            reasons.append(f"a {state.channel} connection has neither delivered nor retried for {idle:.0f} s")
    return reasons


def status(parts: Parts, name: str, wall_seconds: float) -> dict[str, Any]:
    """Return the collector's state as plain JSON, for `collector status` and for people with curl."""
    ingest = parts.ingest
    marks = [fresh.last_message_seconds[MARK_PRICE] for fresh in ingest.freshness.values()]
    ledgers = {store.name: store.ledger for store in parts.watching.repairer.stores} if parts.watching else {}
    budget = parts.client.snapshot().budget
    fill = parts.watching.repairer.state if parts.watching else None
    return {
        "name": name,
        "ready": not_ready(parts, wall_seconds) or "yes",
        "exchange_time_ms": ingest.clock.now_ms(),
        "pairs": len(ingest.freshness),
        "pairs_live": len(live_pairs(parts, wall_seconds)),
        "pairs_stale": stale_pairs(parts, wall_seconds),
        "pairs_halted": [pair for pair, state in parts.pair_states.items() if state == HALTED],
        "mark_age_seconds": {
            "freshest": round(wall_seconds - max(marks), 3) if marks else None,
            "stalest": round(wall_seconds - min(marks), 3) if marks else None,
        },
        "frames": {channel: counts.received for channel, counts in ingest.frames.items()},
        "closes": {origin: ingest.final_by_origin[origin] for origin in ("stream", "rest")},
        "conflicts": ingest.finality.conflicts,
        "connections": [
            {"channel": c.channel, "streams": c.streams, "open": c.open, "silent": c.silent} for c in parts.connections
        ],
        "fill": {
            "stage": fill.stage if fill else "waiting",
            "candles": [fill.candles_fetched, fill.candles_missing] if fill else [0, 0],
            "windows": [fill.windows_fetched, fill.windows_missing] if fill else [0, 0],
        },
        "stores": {
            store: {
                "points_acknowledged": points.snapshot().acknowledged,
                "points_in_spool": points.snapshot().in_spool,
                "spool_files": parts.pipeline.spool.level(store).files,
                "gaps_open": ledgers[store].gaps_open if store in ledgers else 0,
                "exchange_holes": ledgers[store].exchange_holes if store in ledgers else 0,
                "candles_invalid": ledgers[store].invalid_candles if store in ledgers else 0,
                "rollup_windows_dirty": len(parts.pipeline.stores[store].rollups.dirty),
                "last_rollup_repair_seconds": parts.pipeline.stores[store].rollups.last_rollup_seconds,
            }
            for store, points in parts.pipeline.points.items()
        },
        "weight_used_in_minute": budget.used_in_minute,
    }
