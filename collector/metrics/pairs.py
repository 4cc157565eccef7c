"""Metrics of each pair and of the candles that became final."""

from collector.events import CANDLE_MS, CANDLES, FUNDING, MARK_PRICE
from collector.metrics.families import Families, counter, gauge
from collector.metrics.parts import Parts
from collector.universe_watch import LISTED
from marketdata.schema import EXCHANGE


def pairs(parts: Parts) -> Families:
    """How fresh each pair is, and how its candles became final."""
    labels = ("exchange", "pair", "channel")
    ingest = parts.ingest
    last = gauge("last_message_timestamp_seconds", "Receipt of the newest frame; start of watching before", labels)
    messages = counter("messages", "Frames of the pair", labels)
    final = gauge("last_final_candle_timestamp_seconds", "Close time of the newest final candle", labels[:2])
    for pair, fresh in ingest.freshness.items():
        for channel in (CANDLES, MARK_PRICE, FUNDING):
            last.add_metric([EXCHANGE, pair, channel], fresh.last_message_seconds[channel])
            messages.add_metric([EXCHANGE, pair, channel], fresh.messages[channel])
        closed_ms = fresh.last_final_open_ms or ingest.finality.next_open_ms(pair) - CANDLE_MS
        final.add_metric([EXCHANGE, pair], (closed_ms + CANDLE_MS) / 1000)
    states = gauge("pair_state", "1 for the state the pair is in", (*labels[:2], "state"))
    for pair in {**ingest.freshness, **parts.pair_states}:
        states.add_metric([EXCHANGE, pair, parts.pair_states.get(pair, LISTED)], 1)
    watched = gauge("pairs_watched", "Pairs the collector is responsible for", ("exchange",))
    watched.add_metric([EXCHANGE], len(ingest.freshness))
    closes = counter(
        "candles_final", "Closes that became final, by where the final candle came from", ("exchange", "origin")
    )
    for origin in ("stream", "rest"):
        closes.add_metric([EXCHANGE, origin], ingest.final_by_origin[origin])
    conflicts = counter("candle_conflicts", "Closing frames that contradict the final candle", ("exchange",))
    conflicts.add_metric([EXCHANGE], ingest.finality.conflicts)
    absent = counter("candles_absent", "Owed candles that the exchange itself does not have", ("exchange",))
    absent.add_metric([EXCHANGE], parts.confirmer.absent if parts.confirmer else 0)
    clock = gauge("exchange_timestamp_seconds", "Exchange time as the collector knows it", ("exchange",))
    clock.add_metric([EXCHANGE], ingest.clock.now_ms() / 1000)
    yield from (last, messages, final, states, watched, closes, conflicts, absent, clock)
