"""Everything but the distributions, read from the parts' own counters when Prometheus asks."""

from prometheus_client.registry import Collector

from collector.metrics import exchange, pairs, points, process, stores, streams
from collector.metrics.families import Families
from collector.metrics.parts import Parts

SECTIONS = (
    streams.frames,
    pairs.pairs,
    streams.connections,
    points.points,
    points.spool,
    exchange.exchange,
    stores.rollups,
    stores.fill,
    stores.ledgers,
    stores.history,
    process.stream,
    stores.sweep,
    process.process,
)


class Exposition(Collector):
    """Turns the parts into metric families."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Families:
        """Yield every family."""
        for section in SECTIONS:
            yield from section(self._parts)
