"""Mutants of a rule: one operator or number changed, to prove that a test would notice."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

type Rule = dict[str, Any]

_STRING = re.compile(r'"[^"]*"')
_RECORDED = re.compile(r"\b[a-z_]+(?::[a-z0-9_]+)+")
_RAISED = re.compile(r'ALERTS\{alertname="(\w+)"')
_TOKEN = re.compile(
    r'"[^"]*"'  # strings are data: only the operator before them is changed
    r"|(?P<matcher>=~|!~|!=(?=\")|=(?=\"))"
    r"|(?P<comparison>==|!=|<=|>=|<|>)"
    r"|\[(?P<range>[^\]]+)\]"
    r"|offset (?P<offset>\w+)"
    r"|(?P<word>\b(?:and|or|unless|bool|max|min|sum|count|avg|max_over_time|min_over_time|by)\b)"
    r"|(?<![\w.:])(?P<number>\d+(?:\.\d+)?)(?![\w.:])"
    r"|(?<=[ )])(?P<arithmetic>[-+*/])(?= )"
    r"|[a-zA-Z_:][a-zA-Z0-9_:]*"
)
_OTHERS = {
    "=": ["!="], "!=": ["="], "=~": ["!~"], "!~": ["=~"],
    ">": [">=", "<"], ">=": [">", "<"], "<": ["<=", ">"], "<=": ["<", ">"], "==": ["!="],
    "and": ["or", "unless"], "or": ["and", "unless"], "unless": ["and", "or"],
    "bool": [""], "by": ["without"],
    "max": ["min"], "min": ["max"], "sum": ["max", "count"], "count": ["sum"], "avg": ["max", "min"],
    "max_over_time": ["min_over_time"], "min_over_time": ["max_over_time"],
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"],
}  # fmt: skip
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STEP_SECONDS = 15
"""The interval of scrapes and evaluations in the tests: `for` cannot be told apart any finer."""


@dataclass(frozen=True)
class Mutant:
    """A rule with one thing changed."""

    rule: Rule
    change: str


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Every mutant of a rule: of its expression and of how long it waits and lasts."""
    expression = rule["expr"]
    for token in _TOKEN.finditer(expression):
        kind = token.lastgroup
        if kind is None:
            continue
        old, (start, end) = token[kind], token.span(kind)
        for new in _changed(kind, old):
            around = f"...{expression[max(0, start - 30) : start]}[{old} -> {new}]{expression[end : end + 20]}..."
            yield Mutant({**rule, "expr": expression[:start] + new + expression[end:]}, " ".join(around.split()))
    for key in ("for", "keep_firing_for"):
        if key in rule:
            for new in _durations(rule[key], STEP_SECONDS if key == "for" else 2 * STEP_SECONDS):
                yield Mutant({**rule, key: new}, f"{key}: {rule[key]} -> {new}")


def recorded(rule: Rule) -> set[str]:
    """Names of recording rules that the expression reads."""
    return set(_RECORDED.findall(_STRING.sub("", rule["expr"])))


def needed(rules: list[Rule], alertname: str) -> list[Rule]:
    """The alert's rules and the rules they read, directly or not, in the order of the files."""
    wanted: set[str] = set()
    more = {alertname}
    while more:
        wanted |= more
        own = [rule for rule in rules if _name(rule) in wanted]
        read = {name for rule in own for name in recorded(rule) | set(_RAISED.findall(rule["expr"]))}
        more = read - wanted
    return own


def _name(rule: Rule) -> str:
    return str(rule.get("record") or rule["alert"])


def _changed(kind: str, old: str) -> list[str]:
    if kind == "number":
        value = float(old)
        return [f"{other:g}" for other in (value + 1, value - 1, value * 2) if other != value]
    if kind in {"range", "offset"}:
        return _durations(old, 2 * STEP_SECONDS)
    return _OTHERS[old]


def _durations(old: str, step_seconds: int) -> list[str]:
    seconds = int(old[:-1]) * _UNITS[old[-1]]
    return [f"{seconds + step_seconds}s", f"{seconds - step_seconds}s", f"{seconds * 2}s"]
