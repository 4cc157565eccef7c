"""What a collector has to know of an exchange besides its messages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """Numbers and names of one exchange; where they come from stands in its adapter's `facts.py`."""

    id: str
    """The tag and label `exchange` of everything that comes from it."""

    rest_url: str
    websocket_url: str

    streams_per_connection: int
    """How many streams one WebSocket connection carries at most."""

    connection_attempts: int
    """How often this process may open a connection in five minutes."""

    connection_life_seconds: float
    """A connection is replaced at this age, before the exchange closes it."""

    cheapest_rows: int
    """The most candles that a request of the least weight brings."""

    best_rows: int
    """The candles of one request that buy the most history for their weight."""
