"""What the metrics are read from: the parts of the collector."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.delivery.points import PointCounters
from collector.delivery.spool import Spool
from collector.feed.connection import ConnectionState, ConnectionTotals
from collector.feed.silence import SilenceWatch
from collector.feed.symbols import DELISTED, LISTED, PairState
from collector.feed.unreadable import Unreadable
from collector.history.funding import SettledFunding
from collector.history.marks import MarkCandles
from collector.ingest.confirm import Confirmer
from collector.ingest.ingest import Ingest
from collector.publish.stream import Stream
from collector.repair.repairer import Repairer
from collector.store.rollups import RollupRepairer
from collector.verify.sweep import Sweep
from exchange.client import ExchangeClient


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
    unreadable: Unreadable = field(default_factory=Unreadable)
    silence: SilenceWatch | None = None
    confirmer: Confirmer | None = None
    repairer: Repairer | None = None
    sweep: Sweep | None = None
    funding: SettledFunding | None = None
    marks: MarkCandles | None = None
    major: Sequence[str] = ()
    heartbeat_seconds: float = 0.0

    def state_of(self, pair: str) -> PairState:
        """Return a pair's state; before the universe was asked for a second time it is listed."""
        return self.pair_states.get(pair, LISTED)

    @property
    def listed(self) -> list[str]:
        """The pairs whose freshness matters: a delisted one is collected up to its last candle, and silent by right."""
        return [pair for pair in self.ingest.freshness if self.state_of(pair) != DELISTED]
