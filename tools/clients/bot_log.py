"""A bot's log: what freqtrade complains of. Pure.

A bot without trouble writes nothing above INFO: each of its retries, an empty answer, an outdated candle and a refused
request is a WARNING, and so are the ways a strategy fails.
"""

import re
from collections.abc import Iterable

_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - (?P<logger>\S+) - (?P<level>[A-Z]+) - (?P<text>.*)")
_QUIET = {"DEBUG", "INFO"}
TRADED = "'type': entry_fill"


def complaints(lines: Iterable[str]) -> list[str]:
    """The lines above INFO, without what follows a first line (a traceback)."""
    matched = (_LINE.match(line) for line in lines)
    return [match.group(0).rstrip() for match in matched if match and match["level"] not in _QUIET]


def entries(lines: Iterable[str]) -> int:
    """How many trades were entered: orders that a dry-run filled."""
    return sum(TRADED in line for line in lines)
