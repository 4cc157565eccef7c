"""Metrics of what the exchange streams: frames by outcome, connections by state."""

from collector.feed.connection import ConnectionTotals
from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts
from exchange.events import CANDLES, MARK_PRICE, REASONS

FILTERED = ("open", "not_sampled", "duplicate", "superseded")
END_REASONS = ("planned", "silent", "lost", "unreachable", "refused", "bug")


def frames(parts: Parts) -> Families:
    """Frames by channel; they obey the frame law."""
    labels = ("exchange", "channel")
    received = counter("frames_received", "Frames that arrived", labels)
    used = counter("frames_used", "Frames that became a final candle or a sample", labels)
    invalid = counter("frames_invalid", "Frames that are not an event for us", (*labels, "reason"))
    filtered = counter("frames_filtered", "Frames that result in no new point", (*labels, "reason"))
    for channel, counts in parts.ingest.frames.items():
        received.add_metric([parts.exchange, channel], counts.received)
        used.add_metric([parts.exchange, channel], counts.used)
        for reason in REASONS:
            invalid.add_metric([parts.exchange, channel, reason], counts.invalid[reason])
        for why in FILTERED:
            filtered.add_metric([parts.exchange, channel, why], counts.filtered[why])
    yield from (received, used, invalid, filtered)


def connections(parts: Parts) -> Families:
    """WebSocket connections and silent streams."""
    labels = ("exchange", "channel")
    configured = gauge("connections_configured", "WebSocket connections that should exist", labels)
    is_open = gauge("connections_open", "WebSocket connections that are open", labels)
    silent = gauge("streams_silent", "Streams on connections that deliver nothing; REST replaces them", labels)
    opened = counter("connections_opened", "WebSocket connections opened", labels)
    ended = counter("connections_ended", "Sessions and attempts that ended, by reason", (*labels, "reason"))
    for channel in (CANDLES, MARK_PRICE):
        states = [state for state in parts.connections if state.channel == channel]
        configured.add_metric([parts.exchange, channel], len(states))
        is_open.add_metric([parts.exchange, channel], sum(state.open for state in states))
        silent.add_metric([parts.exchange, channel], sum(state.streams for state in states if state.silent))
        totals = parts.watching.feeds.totals[channel] if parts.watching else ConnectionTotals()
        opened.add_metric([parts.exchange, channel], totals.opened)
        for reason in sorted({*END_REASONS, *totals.ended}):
            ended.add_metric([parts.exchange, channel, reason], totals.ended[reason])
    own = gauge(
        "stream_silent",
        "1 while the pair's stream is silent and REST replaces it; not the same as stale",
        ("exchange", "pair", "channel"),
    )
    silence = parts.watching.silence if parts.watching else None
    for pair in parts.listed:
        for channel in (CANDLES, MARK_PRICE):
            own.add_metric([parts.exchange, pair, channel], silence is not None and silence.is_silent(channel, pair))
    yield from (configured, is_open, silent, own, opened, ended)
