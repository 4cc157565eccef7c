"""What a collector has to know about an exchange besides its messages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers and names of one exchange; their sources are in its adapter's `facts.py`."""

    id: str
    """Value of the tag and label `exchange` for everything that comes from it."""

    rest_url: str
    websocket_url: str

    streams_per_connection: int
    """The most streams that one WebSocket connection carries."""

    connection_attempts: int
    """The most connections that this process may open in five minutes."""

    connection_life_seconds: float
    """Age at which a connection is replaced, before the exchange closes it."""

    cheapest_rows: int
    """The most candles that a request of the lowest weight returns."""

    best_rows: int
    """The number of candles in a request that returns the most history for its weight."""
