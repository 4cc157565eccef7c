"""Metrics of the process: readers of /stream, heartbeat, versions."""

from importlib.metadata import version

from collector.observe.metrics.families import Families, counter, gauge
from collector.observe.metrics.parts import Parts


def stream(parts: Parts) -> Families:
    """Readers of /stream."""
    stream = parts.stream
    readers = gauge("stream_readers", "Connected readers of /stream", ())
    sent = counter("stream_events_sent", "Events queued for readers, once per reader", ())
    cut = counter("stream_readers_cut_off", "Readers cut off because they were too far behind", ())
    waiting = gauge("stream_candles_unacknowledged", "Final candles in memory that no store has acknowledged", ())
    forgotten = counter("stream_candles_forgotten", "Of these, candles dropped from memory at its limit", ())
    readers.add_metric([], stream.readers)
    sent.add_metric([], stream.events_sent)
    cut.add_metric([], stream.readers_cut_off)
    waiting.add_metric([], stream.recent.unacknowledged)
    forgotten.add_metric([], stream.recent.forgotten)
    yield from (readers, sent, cut, waiting, forgotten)


def process(parts: Parts) -> Families:
    """Heartbeat and versions."""
    heartbeat = gauge("event_loop_heartbeat_timestamp_seconds", "When the event loop last ran", ())
    heartbeat.add_metric([], parts.heartbeat_seconds)
    info = gauge("build_info", "1, with versions as labels", ("version", "cryptofeed"))
    info.add_metric([version("marketdata-platform"), version("cryptofeed")], 1)
    yield from (heartbeat, info)
