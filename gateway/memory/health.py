"""Whether the gateway should receive requests: not while its data is stale. Pure."""

from gateway.memory.memory import Memory
from marketdata.timeframes import BASE_MS

STALE_MS = 60_000
"""A pair is behind if a candle is not final this long after its close (docs/design.md 5.1)."""

MOST_BEHIND_PERCENT = 10
"""How many pairs may be behind: halted ones, and those a collector itself has trouble with."""


def behind(memory: Memory) -> list[str]:
    """Return the symbols whose newest due candle is not final."""
    due_ms = memory.exchange_time_ms() - BASE_MS - STALE_MS
    return [symbol for symbol, state in memory.pairs.items() if state.next_open_ms <= due_ms]


def not_ready(memory: Memory, *, streaming: bool, store_answers: bool) -> list[str]:
    """Return the reasons, one line each; empty if it is ready."""
    reasons = []
    if memory.universe.empty:
        reasons.append("the exchange's symbols are not known yet")
    if not memory.pairs:
        reasons.append("no pair is known yet: is a collector or a store reachable?")
    elif (late := behind(memory)) and len(late) * 100 > len(memory.pairs) * MOST_BEHIND_PERCENT:
        reasons.append(f"memory is stale: {len(late)} of {len(memory.pairs)} pairs are behind, {late[0]} for example")
    if not streaming and not store_answers:
        reasons.append("no collector is streaming and no store responds")
    return reasons
