"""The data for the screen, gathered from the collector's /status and from the store. Plain data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.demo.run import Run
from tools.demo.store_truth import Sample

type Tell = Callable[[str, str], None]
"""Called with the name of a component and its state or address."""


@dataclass(frozen=True)
class Reading:
    """One response of /status, with its time on the monotonic clock."""

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
    """The state of the demo as shown to the user; its readers fill it in."""

    exchange: str
    logs: str
    run: Run | None = None
    """All addresses, once everything responds; until then, `parts` has what is known."""

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
    """Open time of the newest candle that must be in the store."""

    problems: dict[str, str] = field(default_factory=dict)

    def add(self, reading: Reading, keep_seconds: float = 10.0) -> None:
        """Add a reading; rates are averages over keep_seconds."""
        self.readings = [old for old in self.readings if old.at_seconds > reading.at_seconds - keep_seconds]
        self.readings.append(reading)

    def tell(self, who: str, problem: str) -> None:
        """Record what one of the readers cannot do; an empty string: it can again."""
        self.problems.pop(who, None)
        if problem:
            self.problems[who] = problem

    @property
    def problem(self) -> str:
        """Return the newest current problem, or an empty string."""
        return next(reversed(self.problems.values()), "")

    @property
    def status(self) -> Mapping[str, Any] | None:
        """The newest /status."""
        return self.readings[-1].status if self.readings else None

    def rate(self, count: str) -> float | None:
        """Return `messages` or `points` per second; None before there are two readings."""
        if len(self.readings) < 2:
            return None
        first, last = self.readings[0], self.readings[-1]
        return float(getattr(last, count) - getattr(first, count)) / (last.at_seconds - first.at_seconds)

    @property
    def live(self) -> bool:
        """Return whether every pair is live at the collector, and its mark price and newest candle are in the store."""
        return not self.not_live()

    def not_live(self) -> str:
        """Return what is missing until everything is live; empty if nothing is."""
        status = self.status
        if status is None:
            return "the collector does not respond on /status"
        if not status["pairs"]:
            return "the collector has not loaded the pairs yet"
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
        """Return the progress of the fill."""
        return f"the fill is not done: {fill_text(self.status['fill'])}" if self.status is not None else ""


def fill_text(fill: Mapping[str, Any]) -> str:
    """Return the progress of the fill in one line."""
    (candles, of_candles), (windows, of_windows) = fill["candles"], fill["windows"]
    text = f"{fill['stage']}   3m {candles:,} of {of_candles:,}"
    return f"{text}   windows {windows:,} of {of_windows:,}" if of_windows else text
