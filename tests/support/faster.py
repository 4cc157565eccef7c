"""Rules and waits as shipped, only faster: what takes minutes in production takes seconds in the live test of alerts.

Pure. Divided are the times that rules and Alertmanager wait or look back; what a rule compares with (the age of a
candle) stays, and so do its logic, labels and words. The waits before an alert is sent decide what comes before what.
They are divided by less: what stays as slow as ever (a frame each second, a late scrape, a connection that opens again)
would else take longer than what lies between two alerts.
"""

import re
from collections.abc import Mapping
from typing import Any

FACTOR = 20
ORDER_FACTOR = 6
"""Of the waits before an alert is sent: ExchangeSilent's 30 s and PairStale's 60 s are 5 s and 10 s."""

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
_DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
_PART = re.compile(r"(\d+)(ms|[smhdwy])")
# Texts and comments come first: what is in them is no range. Then [5m], [1h:1m], and `offset 1d`.
_IN_EXPRESSION = re.compile(
    rf"""(?P<kept>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*)"""
    rf"|\[\s*(?P<range>{_DURATION})\s*(?P<colon>:?)\s*(?P<step>(?:{_DURATION})?)\s*\]"
    rf"|\boffset\s+(?P<sign>-?)\s*(?P<offset>{_DURATION})"
)
_WAITS_BEFORE = ("for", "group_wait")
_RULE_WAITS = ("for", "keep_firing_for")
_ROUTE_WAITS = ("group_wait", "group_interval", "repeat_interval")
_CANDLE_AGE = re.compile(r"\btime\(\)(?=\s*-[^-]*marketdata_last_final_candle_timestamp_seconds)")


def duration_ms(text: str) -> int:
    """A duration of Prometheus ("1h30m", "500ms", "0") in milliseconds. Raises ValueError."""
    if text == "0":
        return 0
    if not re.fullmatch(_DURATION, text):
        raise ValueError(f"not a duration of Prometheus: {text!r}")
    return sum(int(number) * _MS[unit] for number, unit in _PART.findall(text))


def faster_duration(text: str, factor: int = FACTOR) -> str:
    """The duration divided, in milliseconds; what is not 0 does not become 0."""
    whole = duration_ms(str(text))
    return f"{max(whole // factor, 1) if whole else 0}ms"


def faster_expression(expression: str, factor: int = FACTOR) -> str:
    """A PromQL expression whose ranges, steps and offsets are divided."""

    def divided(match: re.Match[str]) -> str:
        if match["kept"]:
            return match["kept"]
        if match["offset"]:
            return f"offset {match['sign']}{faster_duration(match['offset'], factor)}"
        step = faster_duration(match["step"], factor) if match["step"] else ""
        return f"[{faster_duration(match['range'], factor)}{match['colon']}{step}]"

    return _IN_EXPRESSION.sub(divided, expression)


def faster_rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    """A rule file's content: expressions, `for`, `keep_firing_for` and the groups' intervals divided."""

    def faster_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
        return _divided(rule, _RULE_WAITS) | {"expr": faster_expression(str(rule["expr"]))}

    return {
        **rules,
        "groups": [
            _divided(group, ("interval",)) | {"rules": [faster_rule(rule) for rule in group["rules"]]}
            for group in rules["groups"]
        ],
    }


def by_a_clock_behind(rules: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """A rule file's content for an exchange whose clock is so far behind ours: candles bear its time, all else ours."""

    def aged(rule: Mapping[str, Any]) -> dict[str, Any]:
        return {**rule, "expr": _CANDLE_AGE.sub(f"(time() - {seconds})", str(rule["expr"]))}

    return {
        **rules,
        "groups": [{**group, "rules": [aged(rule) for rule in group["rules"]]} for group in rules["groups"]],
    }


def faster_alertmanager(config: Mapping[str, Any]) -> dict[str, Any]:
    """Alertmanager's configuration: the waits of all routes divided."""

    def faster_route(route: Mapping[str, Any]) -> dict[str, Any]:
        result = _divided(route, _ROUTE_WAITS)
        if "routes" in route:
            result["routes"] = [faster_route(child) for child in route["routes"]]
        return result

    return {**config, "route": faster_route(config["route"])}


def each_second(prometheus: Mapping[str, Any]) -> dict[str, Any]:
    """Prometheus' configuration: scraped and evaluated each second."""
    paces = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {**prometheus, "global": {**prometheus.get("global", {}), **paces}}


def _divided(mapping: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {
        key: faster_duration(str(value), ORDER_FACTOR if key in _WAITS_BEFORE else FACTOR) if key in keys else value
        for key, value in mapping.items()
    }
