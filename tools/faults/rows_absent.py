"""Candles that the exchange provides late, or as an impossible row."""

from tools.faults.actions import exchange_heals
from tools.faults.candles import nothing_is_held_back, of_candle, quarantined
from tools.faults.row import PREPARED, Row, at, script

AGAIN = {"ledger": {"check_seconds": 5, "ask_again_seconds": list(range(20, 401, 20))}}
"""Missing candles are requested again all the time; by default the first time is after ten minutes."""

OPENED = -360
"""The candle that is forming when the collectors start, and closes at -180."""

WHATS = ("volume_without_trade", "high_below_low", "close_outside", "negative_volume")

ABSENT_ROWS = (
    Row(
        "candles that REST has four minutes late",
        script(
            at(PREPARED, of_candle("exchange_hole", OPENED, first=0, last=6)),
            at(12, nothing_is_held_back(0)),
            at(50, exchange_heals),
        ),
        config=AGAIN,
        until_seconds=100,
    ),
    Row(
        "rows that cannot be, by stream and REST for four minutes",
        script(
            *(
                at(PREPARED, of_candle("impossible_row", OPENED, first=2 * rank, last=2 * rank + 2, what=what))
                for rank, what in enumerate(WHATS)
            ),
            at(12, nothing_is_held_back(0)),
            at(45, quarantined(8)),
            at(50, exchange_heals),
        ),
        config=AGAIN,
        until_seconds=100,
    ),
    Row(
        "closing frames that cannot be",
        script(
            *(
                at(-60, of_candle("impossible_row", -180, first=3 * rank, last=3 * rank + 3, what=what, by="stream"))
                for rank, what in enumerate(WHATS)
            ),
            at(12, nothing_is_held_back(0), quarantined(0)),
            at(20, exchange_heals),
        ),
        fast=True,
    ),
)
