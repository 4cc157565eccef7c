"""What can happen to settled funding."""

from tools.faults.actions import funding_interval, kill, settlement_deleted, start
from tools.faults.row import PREPARED, Row, at, script

SHORTER, LONGER, LIVE = 3, 4, 5
"""Ranks of pairs that settle every 8 h by default."""

FUNDING_ROWS = (
    Row(
        "funding interval 8 h, 4 h, 1 h, and back; a stored settlement of 4 h deleted",
        script(
            at(
                PREPARED,
                funding_interval(SHORTER, 4, from_hours=-44),
                funding_interval(SHORTER, 1, from_hours=-14),
                funding_interval(LONGER, 1, from_hours=-70),
                funding_interval(LONGER, 4, from_hours=-52),
                funding_interval(LONGER, 8, from_hours=-20),
                funding_interval(LIVE, 4, from_hours=-0.03),
                funding_interval(LIVE, 1, from_hours=0.003),
            ),
            at(
                -110,
                settlement_deleted(SHORTER, at_hours=-28),
                settlement_deleted(SHORTER, at_hours=-6),
                settlement_deleted(LONGER, at_hours=-36),
                kill(),
                start(),
            ),
        ),
        config={"funding": {"history_days": 4}},
        until_seconds=90,
        settlements=True,
        fast=True,
    ),
)
