"""The expander of dashboard queries does what Grafana's documentation says Grafana does."""

import pytest

from tests.support.grafana_expansion import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Shown,
    Variable,
    flux,
    glob,
    go_duration,
    interpolated,
    promql,
    rounded_ms,
    short_duration,
)

FROM_MS = 1_594_671_549_254  # 2020-07-13T20:19:09.254Z, the time of Grafana's own examples


def showing(*values: str, many: bool = False, **more: int) -> Shown:
    """A dashboard with the variable `servers`, that shows six hours."""
    times = {"start_ms": FROM_MS, "end_ms": FROM_MS + 6 * HOUR_MS} | more
    return Shown(variables={"servers": Variable(values, many)}, **times)


@pytest.mark.parametrize(
    ("form", "values", "result"),
    [
        # https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
        ("csv", ("test1", "test2"), "test1,test2"),
        ("doublequote", ("test1", "test2"), '"test1","test2"'),
        ("doublequote", ('a"b',), '"a\\"b"'),
        ("glob", ("test1", "test2"), "{test1,test2}"),
        ("json", ("test1", "test2"), '["test1","test2"]'),
        ("lucene", ("test1", "test2"), '("test1" OR "test2")'),
        ("percentencode", ("foo()bar BAZ", "test2"), "foo%28%29bar%20BAZ%2Ctest2"),
        ("pipe", ("test1.", "test2"), "test1.|test2"),
        ("raw", ("test1", "test2"), "test1,test2"),
        ("regex", ("test1.", "test2"), "(test1\\.|test2)"),
        ("singlequote", ("test1", "test2"), "'test1','test2'"),
        ("singlequote", ("it's",), "'it\\'s'"),
        ("sqlstring", ("test'1", "test2"), "'test''1','test2'"),
        ("text", ("test1", "test2"), "test1 + test2"),
        ("queryparam", ("test1", "test2"), "var-servers=test1&var-servers=test2"),
        # "If any invalid formatting option is specified, then glob is the default/fallback option."
        ("nonsense", ("test1", "test2"), "{test1,test2}"),
    ],
)
def test_each_format_is_written_as_documented(form: str, values: tuple[str, ...], result: str) -> None:
    assert interpolated(f"${{servers:{form}}}", showing(*values, many=True), glob) == result


@pytest.mark.parametrize("text", ["$servers", "${servers}", "[[servers]]", "${servers:raw}", "[[servers:raw]]"])
def test_every_syntax_of_a_variable_is_known(text: str) -> None:
    assert interpolated(f"a.{text}", showing("BTC/USDT:USDT"), glob) == "a.BTC/USDT:USDT"


def test_a_name_that_is_no_variable_stays_as_it_is() -> None:
    assert interpolated("$unknown ${other:csv} $__interval", showing("x"), glob) == "$unknown ${other:csv} $__interval"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        # https://grafana.com/docs/grafana/latest/visualizations/dashboards/variables/global-variables/
        ("${__from}", "1594671549254"),
        ("${__from:date}", "2020-07-13T20:19:09.254Z"),
        ("${__from:date:iso}", "2020-07-13T20:19:09.254Z"),
        ("${__from:date:seconds}", "1594671549"),
        ("${__to}", "1594693149254"),
    ],
)
def test_the_global_times_are_written_as_documented(text: str, result: str) -> None:
    assert interpolated(text, showing("x"), glob) == result


@pytest.mark.parametrize(
    ("query", "result"),
    [
        # $__rate_interval: max($__interval + scrape interval, 4 * scrape interval)
        # https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/
        ("rate(x[$__rate_interval])", "rate(x[1m0s])"),
        ("rate(x[${__rate_interval}])", "rate(x[1m0s])"),
        ("x[$__interval]", "x[20s]"),
        ("$__interval_ms", "20000"),
        ("$__rate_interval_ms", "60000"),
        ("x[$__range]", "x[21600s]"),
        ("$__range_s $__range_ms", "21600 21600000"),
        ('x{host="$servers"}', 'x{host="a.b"}'),
        ('x{host="${servers:regex}"}', 'x{host="a\\.b"}'),
    ],
)
def test_a_promql_query_gets_intervals_and_variables(query: str, result: str) -> None:
    assert promql(query, showing("a.b")) == result


@pytest.mark.parametrize(
    ("values", "all_value", "result"),
    [
        (("a.b",), None, 'x{host=~"a\\\\.b"}'),
        (("a.b", "c"), None, 'x{host=~"(a\\\\.b|c)"}'),
        (("a", "b"), ".*", 'x{host=~".*"}'),
    ],
)
def test_a_variable_that_allows_many_is_escaped_for_a_regular_expression_in_a_string(
    values: tuple[str, ...], all_value: str | None, result: str
) -> None:
    shown = Shown(0, HOUR_MS, {"host": Variable(values, many=True, all_value=all_value)})
    assert promql('x{host=~"$host"}', shown) == result


def test_flux_names_are_replaced_whatever_stands_before_the_dot() -> None:
    """The case of Grafana's own test (pkg/tsdb/influxdb/flux/macros_test.go)."""
    before = "v.timeRangeStart, something.timeRangeStop, XYZ.bucket, uuUUu.defaultBucket, aBcDefG.organization, "
    before += "window.windowPeriod, a91{}.bucket"
    after = '1970-01-01T00:00:00Z, 1970-01-01T00:00:00Z, "grafana2", "grafana2", "grafana1", 1s, a91{}.bucket'
    shown = Shown(0, 0, least_ms=1000)
    assert flux(before, shown, organization="grafana1", default_bucket="grafana2") == after


@pytest.mark.parametrize(
    ("query", "result"),
    [
        (
            "|> range(start: v.timeRangeStart, stop: v.timeRangeStop)",
            "|> range(start: 2020-07-13T20:19:09.254Z, stop: 2020-07-14T02:19:09.254Z)",
        ),
        ("every: v.windowPeriod", "every: 20s"),
        ("every: $__interval, $__interval_ms", "every: 20s, 20000"),
        ("r.pair == ${servers:doublequote}", 'r.pair == "BTC/USDT:USDT"'),
        ('"ohlcv_${servers:raw}"', '"ohlcv_BTC/USDT:USDT"'),
        ('r.pair == "$servers"', 'r.pair == "BTC/USDT:USDT"'),
    ],
)
def test_a_flux_query_gets_times_and_variables(query: str, result: str) -> None:
    assert flux(query, showing("BTC/USDT:USDT")) == result


@pytest.mark.parametrize(
    ("range_ms", "points", "interval"),
    [(6 * HOUR_MS, 1_000, "20s"), (HOUR_MS, 1_000, "15s"), (DAY_MS, 1_000, "1m"), (30 * DAY_MS, 500, "1h")],
)
def test_the_interval_grows_with_the_time_and_falls_with_the_width(range_ms: int, points: int, interval: str) -> None:
    assert short_duration(Shown(0, range_ms, points=points).interval_ms) == interval


@pytest.mark.parametrize(
    ("given", "rounded"),
    [(16, 20), (1_500, 1_000), (1_501, 2_000), (21_600, 20_000), (90_001, 2 * MINUTE_MS), (60 * DAY_MS, 365 * DAY_MS)],
)
def test_intervals_are_rounded_to_grafanas_steps(given: int, rounded: int) -> None:
    assert rounded_ms(given) == rounded


@pytest.mark.parametrize(
    ("ms", "text"), [(15_000, "15s"), (60_000, "1m0s"), (90_000, "1m30s"), (3_600_000, "1h0m0s"), (500, "500ms")]
)
def test_durations_are_written_as_go_writes_them(ms: int, text: str) -> None:
    assert go_duration(ms) == text
