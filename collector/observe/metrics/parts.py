"""The parts of the collector that metrics are read from."""

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
    """The parts that exist once the exchange has returned its pairs."""

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
    """For each pair that is or was collected."""
    watching: Watching | None = None
    heartbeat_seconds: float = 0.0

    @property
    def exchange(self) -> str:
        """The exchange's id, used as the label ``exchange``."""
        return self.client.facts.id

    @property
    def ingest(self) -> Ingest:
        """The judge of all incoming events."""
        return self.pipeline.ingest

    @property
    def connections(self) -> Sequence[ConnectionState]:
        """All WebSocket connections."""
        return self.watching.feeds.connections if self.watching else ()

    def state_of(self, pair: str) -> PairState:
        """Return a pair's state; until the second response with the universe it is listed."""
        return self.pair_states.get(pair, LISTED)

    @property
    def listed(self) -> list[str]:
        """Pairs whose freshness matters: delisted ones are collected up to their last candle, but may be silent."""
        return [pair for pair in self.ingest.freshness if self.state_of(pair) != DELISTED]
