"""The demo's verdict: passes only if nothing is wrong, and says in one line each what is."""

from dataclasses import replace

import pytest

from tools.demo.compare import LENGTH_MS, Verdict
from tools.demo.probe import percentile
from tools.demo.summary import Figures, Findings, Process, in_short, summarize

CALM = Process(rss_bytes=100_000_000, open_files=30)
GOOD = Figures(
    live_seconds=240.0,
    closes_from_stream=162,
    closes_from_rest=2,
    delays_seconds=[0.2] * 99 + [0.9],
    broken_laws=[],
    errors_logged=[],
    start=CALM,
    end=CALM,
)


def good_findings() -> Findings:
    return Findings(pairs=164, verdicts={interval: Verdict(compared=100) for interval in LENGTH_MS})


def test_a_good_run_passes_and_says_so() -> None:
    summary = summarize(good_findings(), GOOD)
    assert summary["passed"]
    assert summary["failures"] == []
    assert (summary["pairs"], summary["stale"]) == (164, 0)
    assert summary["missing"] == summary["off_grid"] == summary["differing"] == dict.fromkeys(LENGTH_MS, 0)
    assert summary["closes_from_stream_percent"] == pytest.approx(98.78)
    assert summary["frame_to_queryable_seconds"]["p50"] == 0.2
    assert in_short(summary)[-1] == "the check passed"


@pytest.mark.parametrize("kind", ["missing", "off_grid", "differing", "not_rolled"])
@pytest.mark.parametrize("interval", sorted(LENGTH_MS))
def test_one_wrong_candle_of_any_interval_fails_the_run(interval: str, kind: str) -> None:
    findings = good_findings()
    setattr(findings.verdicts[interval], kind, 1)
    summary = summarize(findings, GOOD)
    assert not summary["passed"]
    assert [failure.partition(":")[0] for failure in summary["failures"]] == [interval]


def test_one_stale_pair_fails_the_run_and_is_named() -> None:
    findings = good_findings()
    findings.stale = ["ETH/USDT:USDT"]
    summary = summarize(findings, GOOD)
    assert summary["stale"] == 1
    assert "ETH/USDT:USDT" in summary["failures"][0]


def test_nothing_compared_is_not_a_success() -> None:
    findings = good_findings()
    findings.verdicts["1d"].compared = 0
    assert not summarize(findings, GOOD)["passed"]
    assert not summarize(Findings(), GOOD)["passed"]


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, broken_laws=["frames of candles_3m: 10 received, 9 accounted for"]),
        replace(GOOD, errors_logged=["ERROR collector.deliver ..."]),
        replace(GOOD, closes_from_stream=150, closes_from_rest=14),
        replace(GOOD, delays_seconds=[]),
        replace(GOOD, steady=CALM, end=replace(CALM, rss_bytes=110_000_001)),
        replace(GOOD, steady=CALM, end=replace(CALM, open_files=60)),
    ],
)
def test_each_bad_figure_fails_the_run_alone(bad: Figures) -> None:
    assert len(summarize(good_findings(), bad)["failures"]) == 1


def test_few_closes_are_no_share_to_judge() -> None:
    summary = summarize(good_findings(), replace(GOOD, closes_from_stream=11, closes_from_rest=1))
    assert summary["passed"]
    assert summary["closes_from_stream_percent"] == pytest.approx(91.67)
    none = summarize(good_findings(), replace(GOOD, closes_from_stream=0, closes_from_rest=0))
    assert none["closes_from_stream_percent"] is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 50) is None
    assert percentile([0.3], 99) == 0.3
    assert percentile([float(i) for i in range(1, 101)], 50) == 50
    assert percentile([float(i) for i in range(1, 101)], 99) == 99
