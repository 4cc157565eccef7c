"""Metrics of each pair and of the candles that became final."""

from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts
from exchange.events import CANDLES, FUNDING, MARK_PRICE
from exchange.universe import fits


def pairs(parts: Parts) -> Families:
    """How fresh each pair is, and which severity its alerts have."""
    labels = ("exchange", "pair", "channel")
    ingest = parts.ingest
    last = gauge("last_message_timestamp_seconds", "Receipt of the newest frame; before it, start of watching", labels)
    messages = counter("messages", "Frames of the pair", labels)
    final = gauge(
        "last_final_candle_timestamp_seconds",
        "Close time of the newest final candle; before the first one, the open time of the awaited candle",
        labels[:2],
    )
    funding = gauge("next_funding_timestamp_seconds", "When the current funding period settles", labels[:2])
    tiers = gauge(
        "pair_tier", "1 for the tier: major (`[exchange] major`) or minor; it only decides severity",
        (*labels[:2], "tier"),
    )  # fmt: skip
    for pair in parts.listed:
        fresh = ingest.freshness[pair]
        for channel in (CANDLES, MARK_PRICE, FUNDING):
            last.add_metric([parts.exchange, pair, channel], fresh.last_message_seconds[channel])
            messages.add_metric([parts.exchange, pair, channel], fresh.messages[channel])
        final.add_metric([parts.exchange, pair], ingest.settled_ms(pair) / 1000)
        if fresh.next_funding_ms:
            funding.add_metric([parts.exchange, pair], fresh.next_funding_ms / 1000)
        is_major = any(fits(pair, pattern) for pattern in parts.major)
        tiers.add_metric([parts.exchange, pair, "major" if is_major else "minor"], 1)
    states = gauge(
        "pair_state",
        "1 for the pair's state: `listed`, `halted` (its silence raises no alert), `delisted` (no other series;"
        " persists as long as `[exchange] pairs` names the pair)",
        (*labels[:2], "state"),
    )
    for pair in {**ingest.freshness, **parts.pair_states}:
        states.add_metric([parts.exchange, pair, parts.state_of(pair)], 1)
    unreadable = gauge(
        "symbols_unreadable",
        "Symbols of exchangeInfo that may be ours but cannot be read: not collected unless they already are; the log"
        " names them when they change, `collector check` always does; diagnostic",
        ("exchange",),
    )
    unreadable.add_metric([parts.exchange], len(parts.unreadable.rows))
    watched = gauge("pairs_watched", "Pairs the collector is responsible for", ("exchange",))
    watched.add_metric([parts.exchange], len(ingest.freshness))
    yield from (last, messages, final, funding, tiers, states, watched, unreadable)


def candles(parts: Parts) -> Families:
    """How candles became final."""
    ingest = parts.ingest
    closes = counter("candles_final", "Closes that became final, by the origin of the final candle",
                     ("exchange", "origin"))  # fmt: skip
    for origin in ("stream", "rest"):
        closes.add_metric([parts.exchange, origin], ingest.final_by_origin[origin])
    conflicts = counter("candle_conflicts", "Closing frames that contradict the final candle", ("exchange",))
    conflicts.add_metric([parts.exchange], ingest.finality.conflicts)
    absent = counter("candles_absent", "Overdue candles that the exchange itself does not have", ("exchange",))
    absent.add_metric([parts.exchange], parts.watching.confirmer.absent if parts.watching else 0)
    invalid = gauge(
        "candles_invalid",
        "Quarantined candles of the pair: the exchange's row cannot be a candle, and is requested again until a week"
        " has passed",
        ("exchange", "pair"),
    )
    ledgers = [store.ledger for store in parts.watching.repairer.stores] if parts.watching else []
    for pair in parts.listed:
        invalid.add_metric([parts.exchange, pair], max((ledger.invalid_asked(pair) for ledger in ledgers), default=0))
    clock = gauge("exchange_timestamp_seconds", "Exchange time as the collector knows it", ("exchange",))
    clock.add_metric([parts.exchange], ingest.clock.now_ms() / 1000)
    yield from (closes, conflicts, absent, invalid, clock)
