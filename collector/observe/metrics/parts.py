"""What the metrics are read from: the parts of the collector."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.feed.connection import ConnectionState
from collector.feed.connections import Feeds
from collector.feed.silence import SilenceWatch
from collector.feed.symbols import DELISTED, LISTED, PairState
from collector.feed.unreadable import Unreadable
from collector.history.funding import SettledFunding
from collector.history.marks import MarkCandles
from collector.ingest.confirm import Confirmer
from collector.ingest.ingest import Ingest
from collector.pipeline import Pipeline
from collector.publish.stream import Stream
from collector.repair.repairer import Repairer
from collector.verify.sweep import Sweep
from exchange.client import ExchangeClient


@dataclass(frozen=True, slots=True)
class Watching:
    """What there is once the exchange has said which pairs there are."""

    feeds: Feeds
    silence: SilenceWatch
    confirmer: Confirmer
    repairer: Repairer
    sweep: Sweep
    funding: SettledFunding
    marks: MarkCandles


@dataclass(slots=True)
class Parts:
    """What the metrics are read from. ``watching`` is None until the pairs are known."""

    client: ExchangeClient
    pipeline: Pipeline
    stream: Stream
    major: Sequence[str] = ()
    unreadable: Unreadable = field(default_factory=Unreadable)
    pair_states: dict[str, PairState] = field(default_factory=dict)
    """Of each pair that is or was collected."""
    watching: Watching | None = None
    heartbeat_seconds: float = 0.0

    @property
    def exchange(self) -> str:
        """The exchange's id, the label of the same name."""
        return self.client.facts.id

    @property
    def ingest(self) -> Ingest:
        """Who judges what comes."""
        return self.pipeline.ingest

    @property
    def connections(self) -> Sequence[ConnectionState]:
        """Every WebSocket connection there is."""
        return self.watching.feeds.connections if self.watching else ()

    def state_of(self, pair: str) -> PairState:
        """Return a pair's state; before the universe was asked for a second time it is listed."""
        return self.pair_states.get(pair, LISTED)

    @property
    def listed(self) -> list[str]:
        """The pairs whose freshness matters: a delisted one is collected up to its last candle, and silent by right."""
        return [pair for pair in self.ingest.freshness if self.state_of(pair) != DELISTED]
