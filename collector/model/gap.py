"""A missing candle, and why it is missing. Pure.

A candle is identified by its pair and open time (UTC milliseconds). Why it may be missing:

    collector_down   it closed while no collector with this state folder was running
    not_received     neither stream nor REST delivered it in time
    undelivered      it was final here, but the store does not have it: dropped at a limit, rejected, lost in a crash
    vanished         the store had it at an earlier pass
    not_at_exchange  the exchange has later candles but not this one (an exchange hole)
    invalid_at_exchange  the exchange only has a row that cannot be a candle
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
    """One missing candle as stored in the measurement ``gaps``."""

    pair: str
    open_ms: int
    state: State
    reason: str
    again: Again | None = None
    """For exchange holes and invalid candles; None for a point written before this field existed."""


def reason(
    open_ms: int, *, checked_until_ms: int, watched_from_ms: int, final_before_ms: int
) -> Literal["collector_down", "not_received", "undelivered", "vanished"]:
    """Return why a candle may be missing.

    ``checked_until_ms``: candles that opened before it were stored at an earlier pass. ``watched_from_ms``: the first
    candle this process watched. ``final_before_ms``: watched candles that opened before it became final here.
    """
    if open_ms < checked_until_ms:
        return "vanished"
    if open_ms + CANDLE_MS <= watched_from_ms:
        return "collector_down"
    return "undelivered" if open_ms < final_before_ms else "not_received"
