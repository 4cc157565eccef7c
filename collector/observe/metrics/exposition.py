"""All metrics except histograms, read from the parts' own counters when Prometheus scrapes."""

from prometheus_client.registry import Collector

from collector.observe.metrics import exchange, pairs, points, process, stores, streams
from collector.observe.metrics.families import Families
from collector.observe.metrics.parts import Parts

SECTIONS = {
    "Frames": (streams.frames,),
    "Pairs and candles": (pairs.pairs, pairs.candles),
    "Connections": (streams.connections,),
    "Points, spool and delivery": (points.points, points.spool),
    "The exchange's REST API": (exchange.weight, exchange.requests),
    "Roll-up repair and fill": (stores.rollups, stores.fill),
    "Ledger: what each store should hold, and does": (stores.ledgers,),
    "Settled funding and mark price hours": (stores.history,),
    "Readers of /stream": (process.stream,),
    "Verify sweep": (stores.sweep,),
    "Process": (process.process,),
}
"""What is exported, by the headings of docs/metrics.md."""


class Exposition(Collector):
    """Turns the parts into metric families."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def collect(self) -> Families:
        """Yield every family."""
        for readings in SECTIONS.values():
            for reading in readings:
                yield from reading(self._parts)
