"""The times that collector, gateway, sentinel, rules and dashboards must agree on (docs/design.md 5.1)."""

CLOSE_DEADLINE_MS = 4_000
"""A candle's closing frame comes about 2 s after the close. After this long it is overdue, and a REST row is final."""

STALE_MS = 60_000
"""A pair is stale if its candle is missing this long after the close, or its mark price for as long."""

WINDOW_DUE_MS = 1_000_000
"""A roll-up window is due: tasks run every 15 minutes, 40 s late; one minute more for the run and for re-rolls."""
