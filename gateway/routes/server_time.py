"""/fapi/v1/ping and /fapi/v1/time: the exchange's clock, as known from its own events."""

from gateway.api.answers import Answer, Query, json_bytes
from gateway.memory.memory import Memory


async def ping(_query: Query) -> Answer:
    """Show that the gateway is there."""
    return Answer(b"{}", state="live")


class Time:
    """The route for the exchange's time."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def answer(self, _query: Query) -> Answer:
        """Return the exchange's time: the newest event's, plus the monotonic time since."""
        return Answer(json_bytes({"serverTime": self._memory.exchange_time_ms()}), age_ms=0, state="live")
