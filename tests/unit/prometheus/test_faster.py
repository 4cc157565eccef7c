"""The transform that makes shipped rules fast enough for a live test changes times alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faster import (
    by_a_clock_behind,
    duration_ms,
    each_second,
    faster_alertmanager,
    faster_duration,
    faster_expression,
    faster_rules,
)
from tests.support.rules import rules


@pytest.mark.parametrize(
    ("text", "ms"), [("0", 0), ("0s", 0), ("500ms", 500), ("15s", 15_000), ("1h30m", 5_400_000), ("1d", 86_400_000)]
)
def test_a_duration_is_read_as_prometheus_reads_it(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "1.5m", "-5m", "5m "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_ms(text)


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d", "w"]), st.integers(1, 100))
def test_a_wait_is_divided_and_never_vanishes(number: int, unit: str, factor: int) -> None:
    text = f"{number}{unit}"
    assert duration_ms(faster_duration(text, factor)) == max(duration_ms(text) // factor, 1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(a_total[5m]) > 5", "rate(a_total[15000ms]) > 5"),
        ("time() - max by (pair) (a) > 240", "time() - max by (pair) (a) > 240"),
        ("max_over_time(a[1h:1m])", "max_over_time(a[180000ms:3000ms])"),
        ("max_over_time(a[1h:])", "max_over_time(a[180000ms:])"),
        ("a < 0.9 * a offset 1d", "a < 0.9 * a offset 4320000ms"),
        ("a offset -1h", "a offset -180000ms"),
        ('a{path=~"[5m]"}[5m]', 'a{path=~"[5m]"}[15000ms]'),
        ("a{path='it\\'s [5m]'}[5m]", "a{path='it\\'s [5m]'}[15000ms]"),
        ("# it's [5m]\na[5m]", "# it's [5m]\na[15000ms]"),
        (
            "exchange:marketdata_stale:ratio_avg5m > 14.4 * 0.005",
            "exchange:marketdata_stale:ratio_avg5m > 14.4 * 0.005",
        ),
        ("predict_linear(a[6h], 24 * 3600) < 0", "predict_linear(a[1080000ms], 24 * 3600) < 0"),
    ],
)
def test_ranges_steps_and_offsets_are_divided_and_thresholds_stay(expression: str, expected: str) -> None:
    assert faster_expression(expression) == expected


def test_a_rule_keeps_all_but_its_times() -> None:
    recording = {"record": "a:b:rate5m", "expr": "rate(a[5m])"}
    alert = {
        "alert": "PairStale",
        "expr": "a > 240",
        "for": "1m",
        "keep_firing_for": "5m",
        "labels": {"severity": "critical", "long": "1h"},
        "annotations": {"description": "for 5m [5m]"},
    }
    group = {"name": "pairs", "interval": "15s", "limit": 3, "rules": [recording, alert]}
    faster = faster_rules({"groups": [group]})
    assert faster == {
        "groups": [
            {
                **group,
                "interval": "750ms",
                "rules": [
                    {**recording, "expr": "rate(a[15000ms])"},
                    {**alert, "for": "10000ms", "keep_firing_for": "15000ms"},
                ],
            }
        ]
    }


def test_every_route_of_alertmanager_waits_less_and_goes_the_same_way() -> None:
    child = {
        "receiver": "watchdog",
        "matchers": ['alertname = "Watchdog"'],
        "group_wait": "0s",
        "repeat_interval": "5m",
    }
    route = {"receiver": "default", "group_by": ["alertname"], "group_wait": "30s", "group_interval": "5m"}
    config: dict[str, Any] = {
        "global": {"resolve_timeout": "5m"},
        "route": {**route, "routes": [{"matchers": ["a = b"], "routes": [child]}]},
        "receivers": [{"name": "default"}],
        "inhibit_rules": [{"equal": ["host"]}],
    }
    assert faster_alertmanager(config) == {
        **config,
        "route": {
            **route,
            "group_wait": "5000ms",
            "group_interval": "15000ms",
            "routes": [
                {"matchers": ["a = b"], "routes": [{**child, "group_wait": "0ms", "repeat_interval": "15000ms"}]}
            ],
        },
    }


def test_candles_alone_age_by_the_clock_of_an_exchange_that_is_behind() -> None:
    expressions = {
        "time() - max by (pair) (marketdata_last_final_candle_timestamp_seconds)": (
            "(time() - 90) - max by (pair) (marketdata_last_final_candle_timestamp_seconds)"
        ),
        "time() - max by (pair) (marketdata_last_message_timestamp_seconds)": None,
        "group by (pair) (marketdata_last_final_candle_timestamp_seconds) * 0": None,
    }
    group = {"name": "recording", "rules": [{"record": "a:b:c", "expr": expression} for expression in expressions]}
    (behind,) = by_a_clock_behind({"groups": [group]}, 90)["groups"]
    assert [rule["expr"] for rule in behind["rules"]] == [wanted or kept for kept, wanted in expressions.items()]


def test_the_order_of_the_shipped_waits_stays() -> None:
    """The waits before an alert is sent are divided alike, and so are the times it outlasts its cause."""
    for key in ("for", "keep_firing_for"):
        waits = [str(rule[key]) for rule in rules() if key in rule]
        faster = [
            duration_ms(rule[key])
            for rule in faster_rules({"groups": [{"rules": rules()}]})["groups"][0]["rules"]
            if key in rule
        ]
        assert len({duration_ms(wait) / fast for wait, fast in zip(waits, faster, strict=True)}) == 1


def test_prometheus_scrapes_and_evaluates_each_second() -> None:
    config = {"global": {"scrape_interval": "15s", "external_labels": {"a": "b"}}, "rule_files": ["rules/*.yml"]}
    assert each_second(config) == {
        "global": {
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "evaluation_interval": "1s",
            "external_labels": {"a": "b"},
        },
        "rule_files": ["rules/*.yml"],
    }
