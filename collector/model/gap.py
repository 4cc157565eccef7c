"""A missing candle, and why it is missing. Pure.

A candle is named by its pair and open time (UTC milliseconds). The reasons of a gap:

    collector_down   it closed while no collector of this state folder was running
    not_received     neither stream nor REST brought it in time
    undelivered      it was final here, and the store does not have it: dropped at a bound, rejected, lost in a crash
    vanished         the store had it at an earlier pass
    not_at_exchange  the exchange has later candles and not this one (an exchange hole)
    invalid_at_exchange  all that the exchange has of it is a row that cannot be a candle
"""

from dataclasses import dataclass
from typing import Literal, get_args

from exchange.again import Again
from exchange.events import CANDLE_MS

type State = Literal["open", "repaired", "exchange_hole", "invalid"]
type Reason = Literal[
    "collector_down", "not_received", "undelivered", "vanished", "not_at_exchange", "invalid_at_exchange"
]

REASONS: tuple[Reason, ...] = get_args(Reason.__value__)


@dataclass(frozen=True, slots=True)
class Gap:
    """One missing candle as the measurement ``gaps`` keeps it."""

    pair: str
    open_ms: int
    state: State
    reason: str
    again: Again | None = None
    """Of exchange holes and invalid candles; None of a point written before there was such a thing."""


def reason(
    open_ms: int, *, checked_until_ms: int, watched_from_ms: int, final_before_ms: int
) -> Literal["collector_down", "not_received", "undelivered", "vanished"]:
    """Say why a candle may be missing.

    ``checked_until_ms``: what opened before was there at an earlier pass. ``watched_from_ms``: the first candle this
    process watched. ``final_before_ms``: what opened before and was watched became final here.
    """
    if open_ms < checked_until_ms:
        return "vanished"
    if open_ms + CANDLE_MS <= watched_from_ms:
        return "collector_down"
    return "undelivered" if open_ms < final_before_ms else "not_received"
