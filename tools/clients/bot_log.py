"""Finds freqtrade's complaints in a bot's log. Pure.

A healthy bot writes nothing above INFO: each retry, empty response, outdated candle and refused request is a WARNING,
as are the ways in which a strategy fails.
"""

import re
from collections.abc import Iterable

_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<text>.*)")
_QUIET = {"DEBUG", "INFO"}
TRADED = "'type': entry_fill"


def complaints(lines: Iterable[str]) -> list[str]:
    """Return the lines above INFO, without what follows a first line (a traceback)."""
    matched = (_LINE.match(line) for line in lines)
    return [match.group(0).rstrip() for match in matched if match and match["level"] not in _QUIET]


def entries(lines: Iterable[str]) -> int:
    """Return how many trades were entered: orders filled by a dry-run."""
    return sum(TRADED in line for line in lines)
