"""GET /pairlist: the pairs a bot may trade now, for freqtrade's RemotePairList."""

from gateway.api import params
from gateway.api.answers import Answer, Query, json_bytes
from gateway.memory.memory import Memory, PairState
from gateway.routes.exchange_info import listed
from marketdata.timeframes import BASE_MS

#: A pair is stale if a candle is missing this long after its close, or if there was no mark price frame for as long.
STALE_MS = 60_000

#: Startup candles if a bot does not specify how many it needs; freqtrade requests 499 at a time.
DEFAULT_CANDLES = 499
#: As many are in memory soon after a start.
MOST_CANDLES = 500

#: freqtrade asks no more often than the response's `refresh_period`, whatever its own setting.
REFRESH_SECONDS = 60


class PairList:
    """The route for healthy pairs."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def answer(self, query: Query) -> Answer:
        """Return the pairs that trade, are fresh, and have their newest `limit` 3m candles (at most 500), sorted."""
        symbols = listed(self._memory).symbols
        candles = params.limit(query, default=DEFAULT_CANDLES, most=MOST_CANDLES)
        now_ms = self._memory.exchange_time_ms()
        healthy = [
            state.pair
            for symbol, state in self._memory.pairs.items()
            if symbol in symbols
            and symbols[symbol].state == "trading"
            and is_fresh(state, now_ms)
            and is_complete(state, candles)
        ]
        body = {"pairs": sorted(healthy), "refresh_period": REFRESH_SECONDS}
        return Answer(json_bytes(body), age_ms=0, state="live")


def is_fresh(state: PairState, now_ms: int) -> bool:
    """Whether the newest due candle is final and mark prices keep arriving."""
    candle_is_due_ms = state.next_open_ms + BASE_MS + STALE_MS
    return now_ms <= candle_is_due_ms and state.mark is not None and now_ms - state.mark.event_time_ms <= STALE_MS


def is_complete(state: PairState, candles: int) -> bool:
    """Whether the newest `candles` candles are there, except for those that the exchange itself does not have."""
    return not state.lacks(state.next_open_ms - candles * BASE_MS, state.next_open_ms)
