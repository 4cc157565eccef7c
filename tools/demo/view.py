"""What the screen shows, gathered from the collector's /status and from the store. Plain data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.demo.run import Run
from tools.demo.store_truth import Sample

type Tell = Callable[[str, str], None]
"""Hears of a part by its name what it does, or where it answers."""


@dataclass(frozen=True)
class Reading:
    """One answer of /status, at a moment of the monotonic clock."""

    at_seconds: float
    status: Mapping[str, Any]

    @property
    def messages(self) -> int:
        """Frames received since the collector's start."""
        return sum(self.status["frames"].values())

    @property
    def points(self) -> int:
        """Points that the stores have acknowledged since the collector's start."""
        return sum(store["points_acknowledged"] for store in self.status["stores"].values())


@dataclass
class View:
    """The state of the demo as a person should see it; its readers fill it in as they learn."""

    exchange: str
    logs: str
    run: Run | None = None
    """Where everything is, once all of it answers; before, `parts` has what is known."""

    parts: dict[str, str] = field(default_factory=dict)
    phase: str = "starting"
    seconds: float | None = None
    started_at: float = 0.0
    live_at: float | None = None
    readings: list[Reading] = field(default_factory=list)
    marks: dict[str, Sample] = field(default_factory=dict)
    candles: dict[str, Sample] = field(default_factory=dict)
    windows_ms: dict[str, int] = field(default_factory=dict)
    delays_seconds: list[float] = field(default_factory=list)
    now_ms: int = 0
    candle_due_ms: int = 0
    """Open time of the newest candle that the store owes its readers."""

    problems: dict[str, str] = field(default_factory=dict)

    def add(self, reading: Reading, keep_seconds: float = 10.0) -> None:
        """Take a reading; rates are means over keep_seconds."""
        self.readings = [old for old in self.readings if old.at_seconds > reading.at_seconds - keep_seconds]
        self.readings.append(reading)

    def tell(self, who: str, problem: str) -> None:
        """Keep what one of the readers cannot do; an empty text: it can again."""
        self.problems.pop(who, None)
        if problem:
            self.problems[who] = problem

    @property
    def problem(self) -> str:
        """The newest of the problems there are, or an empty text."""
        return next(reversed(self.problems.values()), "")

    @property
    def status(self) -> Mapping[str, Any] | None:
        """The newest /status."""
        return self.readings[-1].status if self.readings else None

    def rate(self, count: str) -> float | None:
        """`messages` or `points` a second; None before there are two readings."""
        if len(self.readings) < 2:
            return None
        first, last = self.readings[0], self.readings[-1]
        return float(getattr(last, count) - getattr(first, count)) / (last.at_seconds - first.at_seconds)

    @property
    def live(self) -> bool:
        """Every pair live by the collector, and its mark price and newest candle read in the store."""
        return not self.not_live()

    def not_live(self) -> str:
        """Say what is missing until everything is live; empty when it is."""
        status = self.status
        if status is None:
            return "the collector does not answer on /status"
        if not status["pairs"]:
            return "the collector does not know the pairs yet"
        pairs = status["pairs"] - len(status["pairs_halted"])
        if status["pairs_live"] < pairs:
            return f"{pairs - status['pairs_live']} of {pairs} pairs are not live"
        current = {pair for pair, candle in self.candles.items() if candle.time_ms >= self.candle_due_ms}
        if (readable := len(current & self.marks.keys())) < pairs:
            return f"{pairs - readable} of {pairs} pairs cannot be read in the store"
        return ""

    @property
    def filled(self) -> bool:
        """Whether all history is stored and rolled up."""
        return self.status is not None and self.status["fill"]["stage"] == "done"

    def not_filled(self) -> str:
        """Say how far the fill is."""
        return f"the fill is not done: {fill_text(self.status['fill'])}" if self.status is not None else ""


def fill_text(fill: Mapping[str, Any]) -> str:
    """How far the fill is, in one line."""
    (candles, of_candles), (windows, of_windows) = fill["candles"], fill["windows"]
    text = f"{fill['stage']}   3m {candles:,} of {of_candles:,}"
    return f"{text}   windows {windows:,} of {of_windows:,}" if of_windows else text
