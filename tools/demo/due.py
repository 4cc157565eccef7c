"""Which candles must be in the store by now, by the deadlines of the check. Pure."""

from tools.demo.compare import BASE, LENGTH_MS
from tools.demo.run import Run

STALE_MS = 60_000
"""A final candle must be stored 60 s after its close, or its pair is stale (docs/design.md 5.1)."""

TASK_EVERY_MS = 900_000
TASK_OFFSET_MS = 40_000
TASK_SLACK_MS = 60_000
"""Roll-up tasks run 40 s after every quarter hour; a run may take a minute (docs/design.md 4.2)."""

FILL_HOURS = 49
ROLLUP_WINDOWS = 499
"""What the collector is configured to have at startup: hours of 3m candles, and windows of each roll-up."""

HOUR_MS = 3_600_000


def last_due_open_ms(interval: str, run: Run, now_ms: int) -> int:
    """Return the open of the newest candle of the interval that must be stored at now_ms."""
    length_ms = LENGTH_MS[interval]
    if interval == BASE:
        return (now_ms - STALE_MS) // length_ms * length_ms - length_ms
    end_ms = now_ms // length_ms * length_ms
    while end_ms > _filled_until_ms(run) and _rolled_by_ms(end_ms, run) > now_ms:
        end_ms -= length_ms
    return end_ms - length_ms


def first_due_open_ms(interval: str, run: Run, last_open_ms: int) -> int:
    """Return the open of the oldest candle that must be stored; for roll-ups the newest ROLLUP_WINDOWS count."""
    if interval == BASE:
        return _filled_from_ms(run)
    return last_open_ms - (ROLLUP_WINDOWS - 1) * LENGTH_MS[interval]


def rolled_from_ms(listed_ms: int, run: Run) -> int:
    """Return when windows must start to have been rolled up: from here on our own 3m candles cover them."""
    return max(_filled_from_ms(run), listed_ms)


def must_have_a_day(listed_ms: int, run: Run) -> bool:
    """Return whether 49 h of this pair's candles include a whole UTC day; not if it was listed within them."""
    return listed_ms <= _filled_from_ms(run)


def _filled_from_ms(run: Run) -> int:
    # The collector counts the hours back from the candle that formed when it loaded the pairs: no later than this.
    return run.pairs_known_ms // LENGTH_MS[BASE] * LENGTH_MS[BASE] - FILL_HOURS * HOUR_MS


def _filled_until_ms(run: Run) -> int:
    # And no earlier than this: a candle that closed less than 5 s earlier may be left to the stream.
    return (run.collector_started_ms - 5_000) // LENGTH_MS[BASE] * LENGTH_MS[BASE]


def _rolled_by_ms(end_ms: int, run: Run) -> int:
    # InfluxDB does not make up for missed runs: a task's first run is in the first quarter hour after its creation.
    first_run_ms = -(-run.provisioned_ms // TASK_EVERY_MS) * TASK_EVERY_MS
    return max(end_ms, first_run_ms) + TASK_OFFSET_MS + TASK_SLACK_MS
