"""The result of a checked run: .demo/summary.json and a few lines for humans. Pure except for the writing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.compare import BASE, Verdict
from tools.demo.probe import percentile

STREAM_PERCENT = 95.0
JUDGED_CLOSES = 100
"""With fewer closes the share means nothing: one late frame of ten pairs is 10 %."""

SAMPLED_SECONDS = 30.0
"""A mark price is stored every 10 s: in a run of this length the probe must have seen new ones."""

STEADY_SECONDS = 900.0
"""In runs of this length or longer, memory and open files are checked, too: minute 5 against the end."""

RSS_GROWTH = 1.1
OPEN_FILES_SLACK = 5
"""HTTP connections come and go."""


@dataclass
class Findings:
    """The result of comparing store and exchange."""

    pairs: int = 0
    served: int = 0
    stale: list[str] = field(default_factory=list)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Process:
    """The collector's process at one point in time."""

    rss_bytes: int
    open_files: int


@dataclass(frozen=True)
class Figures:
    """Measurements between live and the check. steady: the process 5 minutes after live, only in long runs."""

    live_seconds: float
    closes_from_stream: int
    closes_from_rest: int
    delays_seconds: Sequence[float]
    broken_laws: Sequence[str]
    errors_logged: Sequence[str]
    start: Process
    end: Process
    steady: Process | None = None


def summarize(findings: Findings, figures: Figures) -> dict[str, Any]:
    """Return the content of summary.json: the numbers, the failures, and `passed`."""
    verdicts = findings.verdicts
    closes = figures.closes_from_stream + figures.closes_from_rest
    share = round(100 * figures.closes_from_stream / closes, 2) if closes else None
    failures = [*findings.failures, *_wrong_candles(findings), *_wrong_figures(figures, share, closes)]
    return {
        "passed": not failures,
        "failures": failures,
        "pairs": findings.pairs,
        "live_seconds": round(figures.live_seconds, 1),
        "stale": len(findings.stale),
        "missing": {name: verdict.missing for name, verdict in verdicts.items()},
        "off_grid": {name: verdict.off_grid for name, verdict in verdicts.items()},
        "differing": {name: verdict.differing for name, verdict in verdicts.items()},
        "served_by_gateway": findings.served,
        "compared": {name: verdict.compared for name, verdict in verdicts.items()},
        "windows_fetched": {name: verdict.windows_fetched for name, verdict in verdicts.items() if name != BASE},
        "not_rolled": {name: verdict.not_rolled for name, verdict in verdicts.items() if name != BASE},
        "exchange_holes": {name: verdict.exchange_holes for name, verdict in verdicts.items()},
        "closes_from_stream": figures.closes_from_stream,
        "closes_from_rest": figures.closes_from_rest,
        "closes_from_stream_percent": share,
        "frame_to_queryable_seconds": {
            "p50": _rounded(percentile(figures.delays_seconds, 50)),
            "p99": _rounded(percentile(figures.delays_seconds, 99)),
            "samples": len(figures.delays_seconds),
        },
        "laws": {"hold": not figures.broken_laws, "broken": list(figures.broken_laws)},
        "errors_logged": len(figures.errors_logged),
        "rss_bytes": _over_time(figures, "rss_bytes"),
        "open_files": _over_time(figures, "open_files"),
    }


def write(summary: Mapping[str, Any], path: Path) -> None:
    """Write it as JSON."""
    path.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def in_short(summary: Mapping[str, Any]) -> list[str]:
    """Return the lines to print at the end."""
    lag = summary["frame_to_queryable_seconds"]
    return [
        f"pairs {summary['pairs']}, stale {summary['stale']}, live for {summary['live_seconds']:.0f} s",
        *(
            f"  {name:<4} missing {summary['missing'][name]}, off grid {summary['off_grid'][name]}, differing "
            f"{summary['differing'][name]}, compared {summary['compared'][name]:,}"
            + (f", fetched {summary['windows_fetched'][name]:,}" if name != BASE else "")
            for name in summary["missing"]
        ),
        f"the gateway served {summary['served_by_gateway']:,} candles as the exchange has them",
        f"closes from the stream {summary['closes_from_stream']:,}, from REST {summary['closes_from_rest']:,}",
        f"frame to queryable p50 {lag['p50']} s, p99 {lag['p99']} s of {lag['samples']:,} samples",
        *(f"FAILED: {failure}" for failure in summary["failures"]),
        "the check passed" if summary["passed"] else "the check failed",
    ]


def _wrong_candles(findings: Findings) -> list[str]:
    failures = []
    if not findings.pairs:
        failures.append("the exchange lists no eligible pair")
    if findings.stale:
        failures.append(f"{len(findings.stale)} pairs are stale: {', '.join(findings.stale[:5])}")
    for name, verdict in findings.verdicts.items():
        if verdict.wrong:
            failures.append(
                f"{name}: {verdict.missing} missing, {verdict.off_grid} off the grid, {verdict.differing} differing, "
                f"{verdict.not_rolled} fetched instead of rolled; such as: {'; '.join(verdict.examples)}"
            )
        if not verdict.compared:
            failures.append(f"{name}: there was nothing to compare")
    return failures


def _wrong_figures(figures: Figures, share: float | None, closes: int) -> list[str]:
    failures = [*figures.broken_laws]
    if share is not None and closes >= JUDGED_CLOSES and share < STREAM_PERCENT:
        failures.append(f"only {share} % of {closes} closes came from the stream, at least {STREAM_PERCENT} % should")
    if figures.errors_logged:
        failures.append(f"{len(figures.errors_logged)} errors in the logs: {figures.errors_logged[0]}")
    if not figures.delays_seconds and figures.live_seconds > SAMPLED_SECONDS:
        failures.append("the probe saw no new mark price in the store")
    if figures.steady is not None:
        if figures.end.rss_bytes > figures.steady.rss_bytes * RSS_GROWTH:
            failures.append(
                f"the collector's memory grew from {figures.steady.rss_bytes} to {figures.end.rss_bytes} bytes"
            )
        if abs(figures.end.open_files - figures.steady.open_files) > OPEN_FILES_SLACK:
            failures.append(
                f"the collector's open files went from {figures.steady.open_files} to {figures.end.open_files}"
            )
    return failures


def _over_time(figures: Figures, name: str) -> dict[str, int | None]:
    moments = {"live": figures.start, "minute_5": figures.steady, "end": figures.end}
    return {moment: getattr(process, name) if process else None for moment, process in moments.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
