"""/fapi/v1/ping and /fapi/v1/time: the exchange's clock, as its own events tell it."""

from gateway.api.answers import Answer, Query, json_bytes
from gateway.memory.memory import Memory


async def ping(_query: Query) -> Answer:
    """Answer that the gateway is there."""
    return Answer(b"{}", state="live")


class Time:
    """The route of the exchange's time."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def answer(self, _query: Query) -> Answer:
        """Return the exchange's time: that of the newest event, and monotonic time since."""
        return Answer(json_bytes({"serverTime": self._memory.exchange_time_ms()}), age_ms=0, state="live")
