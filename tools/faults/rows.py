"""All rows of the fault table."""

from fnmatch import fnmatch

from tools.faults.row import Row
from tools.faults.rows_absent import ABSENT_ROWS
from tools.faults.rows_collector import COLLECTOR_ROWS
from tools.faults.rows_exchange import EXCHANGE_ROWS
from tools.faults.rows_funding import FUNDING_ROWS
from tools.faults.rows_rest import REST_ROWS
from tools.faults.rows_store import STORE_ROWS

ROWS: tuple[Row, ...] = (
    *STORE_ROWS,
    *COLLECTOR_ROWS,
    *EXCHANGE_ROWS,
    *REST_ROWS,
    *ABSENT_ROWS,
    *FUNDING_ROWS,
)


class NoSuchRow(Exception):
    """No row matches the pattern; the message says so."""


def chosen(pattern: str) -> list[Row]:
    """Return the rows whose names match a pattern (fnmatch, or part of the name). Raises NoSuchRow."""
    rows = [row for row in ROWS if fnmatch(row.name, pattern) or pattern.lower() in row.name.lower()]
    if not rows:
        raise NoSuchRow(f"FAULTS_ROWS={pattern}: no row matches; there are {', '.join(row.name for row in ROWS)}")
    return rows
