"""What Grafana makes of a query before it sends it: variables, formats, time macros. Pure.

From Grafana's documentation ("Variable syntax", "Global variables", "Prometheus template variables") and, where that is
silent, its source: templateSrv, pkg/promlib/models/query.go, pkg/tsdb/influxdb/flux/macros.go, gtime's intervals.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000

_ROUNDED_MS = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500), (1_500, 1_000), (3_500, 2_000),
    (7_500, 5_000), (12_500, 10_000), (17_500, 15_000), (25_000, 20_000), (45_000, 30_000), (90_000, MINUTE_MS),
    (210_000, 2 * MINUTE_MS), (450_000, 5 * MINUTE_MS), (750_000, 10 * MINUTE_MS), (1_050_000, 15 * MINUTE_MS),
    (1_500_000, 20 * MINUTE_MS), (2_700_000, 30 * MINUTE_MS), (5_400_000, HOUR_MS), (9_000_000, 2 * HOUR_MS),
    (16_200_000, 3 * HOUR_MS), (32_400_000, 6 * HOUR_MS), (DAY_MS, 12 * HOUR_MS), (7 * DAY_MS, DAY_MS),
    (21 * DAY_MS, 7 * DAY_MS), (42 * DAY_MS, 30 * DAY_MS),
)  # fmt: skip
"""(up to, becomes): Grafana's steps; above the last a year."""

_VARIABLE = re.compile(r"\$(\w+)|\[\[(\w+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.[^:}]+)?(?::([^}]+))?\}")
_FLUX_NAME = re.compile(r"([a-zA-Z]+)\.([a-zA-Z]+)")


@dataclass(frozen=True)
class Variable:
    """A chosen value, or several; `many` says that the dashboard allows several or all of them."""

    values: tuple[str, ...]
    many: bool = False
    all_value: str | None = None
    """Set when All is chosen and the variable has a custom value for it, which goes into the query as it is."""


@dataclass(frozen=True)
class Shown:
    """What a dashboard shows: its time, its variables, how wide the panel is, the data source's least interval."""

    start_ms: int
    end_ms: int
    variables: Mapping[str, Variable] = field(default_factory=dict)
    points: int = 1_000
    least_ms: int = 15 * SECOND_MS

    @property
    def interval_ms(self) -> int:
        """$__interval: the shown time divided by the panel's points, rounded, and not below the least."""
        return max(rounded_ms((self.end_ms - self.start_ms) // self.points), self.least_ms)

    @property
    def rate_interval_ms(self) -> int:
        """$__rate_interval: never below four scrapes."""
        return max(self.interval_ms + self.least_ms, 4 * self.least_ms)


def rounded_ms(interval_ms: int) -> int:
    """An interval as Grafana rounds it."""
    return next((becomes for limit, becomes in _ROUNDED_MS if interval_ms <= limit), 365 * DAY_MS)


def short_duration(ms: int) -> str:
    """As $__interval is written: one unit, rounded down."""
    for unit_ms, unit in ((365 * DAY_MS, "y"), (DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s")):
        if ms >= unit_ms:
            return f"{ms // unit_ms}{unit}"
    return f"{max(ms, 1)}ms"


def go_duration(ms: int) -> str:
    """As Go writes a duration, which $__rate_interval and v.windowPeriod are: 1m0s."""
    if ms < SECOND_MS:
        return f"{ms}ms"
    hours, rest = divmod(ms, HOUR_MS)
    minutes, rest = divmod(rest, MINUTE_MS)
    seconds = f"{rest / SECOND_MS:g}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def promql(query: str, shown: Shown) -> str:
    """A PromQL query as Prometheus gets it."""
    text = interpolated(query, shown, _for_prometheus)
    range_ms = shown.end_ms - shown.start_ms
    macros = {
        "rate_interval_ms": str(shown.rate_interval_ms),
        "rate_interval": go_duration(shown.rate_interval_ms),
        "interval_ms": str(shown.interval_ms),
        "interval": short_duration(shown.interval_ms),
        "range_ms": str(range_ms),
        "range_s": str(round(range_ms / SECOND_MS)),
        "range": f"{round(range_ms / SECOND_MS)}s",
    }
    for name, value in macros.items():
        text = text.replace(f"$__{name}", value).replace(f"${{__{name}}}", value)
    return text


def flux(query: str, shown: Shown, *, organization: str = "", default_bucket: str = "") -> str:
    """A Flux query as InfluxDB gets it."""
    text = interpolated(query, shown, glob)
    macros = {
        "timeRangeStart": iso(shown.start_ms),
        "timeRangeStop": iso(shown.end_ms),
        "windowPeriod": go_duration(shown.interval_ms),
        "organization": f'"{organization}"',
        "bucket": f'"{default_bucket}"',
        "defaultBucket": f'"{default_bucket}"',
    }
    for whole, name in {(match[0], match[2]) for match in _FLUX_NAME.finditer(text)}:
        if name in macros:
            text = text.replace(whole, macros[name])
    return text.replace("$__interval_ms", str(shown.interval_ms)).replace(
        "$__interval", short_duration(shown.interval_ms)
    )


def interpolated(text: str, shown: Shown, default: Callable[[Variable], str]) -> str:
    """A text with the dashboard's variables and the global times in it; `default` writes those without a format.

    What is not a variable stays as it is: the data source may know it.
    """

    def written(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[4]
        form = match[3] or match[5] or ""
        if name in ("__from", "__to"):
            return _time(shown.start_ms if name == "__from" else shown.end_ms, form)
        variable = shown.variables.get(name)
        if variable is None:
            return match[0]
        if variable.all_value is not None:
            return variable.all_value
        if form == "queryparam":
            return "&".join(f"var-{name}={quote(value, safe='')}" for value in variable.values)
        return FORMATS.get(form, glob)(variable) if form else default(variable)

    return _VARIABLE.sub(written, text)


def glob(variable: Variable) -> str:
    """Grafana's fallback: the value itself, or {a,b}."""
    return variable.values[0] if len(variable.values) == 1 else f"{{{','.join(variable.values)}}}"


def regex(variable: Variable) -> str:
    """Escaped for a regular expression; several as (a|b)."""
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in variable.values]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def iso(time_ms: int) -> str:
    """RFC 3339 in UTC, with as many digits of the second as there are."""
    second, ms = divmod(time_ms, SECOND_MS)
    fraction = f".{ms:03}".rstrip("0") if ms else ""
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


FORMATS: dict[str, Callable[[Variable], str]] = {
    "csv": lambda variable: ",".join(variable.values),
    "doublequote": lambda variable: ",".join('"' + value.replace('"', '\\"') + '"' for value in variable.values),
    "glob": glob,
    "json": lambda variable: json.dumps(
        variable.values[0] if not variable.many else list(variable.values), separators=(",", ":"), ensure_ascii=False
    ),
    "lucene": lambda variable: "(" + " OR ".join(f'"{value}"' for value in variable.values) + ")",
    "percentencode": lambda variable: quote(",".join(variable.values), safe=""),
    "pipe": lambda variable: "|".join(variable.values),
    "raw": lambda variable: ",".join(variable.values),
    "regex": regex,
    "singlequote": lambda variable: ",".join("'" + value.replace("'", "\\'") + "'" for value in variable.values),
    "sqlstring": lambda variable: ",".join("'" + value.replace("'", "''") + "'" for value in variable.values),
    "text": lambda variable: " + ".join(variable.values),
}


def _for_prometheus(variable: Variable) -> str:
    """As the Prometheus data source writes a variable: for a string, or for a regular expression in a string."""
    if not variable.many:
        return variable.values[0].replace("\\", "\\\\").replace("'", "\\\\'")
    escaped = [
        re.sub(r"[$^*{}\[\]'+?.()|]", r"\\\\\g<0>", value.replace("\\", "\\\\\\\\")) for value in variable.values
    ]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


def _time(time_ms: int, form: str) -> str:
    """${__from} and ${__to}, with their own formats."""
    if form in ("date", "date:iso"):
        second, ms = divmod(time_ms, SECOND_MS)
        return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z"
    return str(time_ms // SECOND_MS) if form == "date:seconds" else str(time_ms)
