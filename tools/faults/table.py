"""The fault table as shown to a person."""

from collections.abc import Sequence

from rich.table import Table

from tools.faults.engine import Result

_HEADINGS = ("expected", "lost", "doubled", "off-grid", "wrong", "windows", "windows wrong", "recovered s")


def table(results: Sequence[Result]) -> Table:
    """One line per row, in the given order."""
    made = Table(title="Faults")
    made.add_column("fault", overflow="fold")
    for heading in _HEADINGS:
        made.add_column(heading, justify="right")
    made.add_column("")
    for result in results:
        judged = result.judgement
        lost = f"{judged.lost} of {result.counted} counted" if result.row.counted_loss and judged.lost else judged.lost
        numbers = (judged.expected, lost, judged.doubled, judged.off_grid, judged.wrong, judged.windows)
        recovered = "-" if result.recovered_seconds is None else f"{result.recovered_seconds:.1f}"
        made.add_row(
            result.row.name,
            *map(str, numbers),
            str(judged.windows_wrong),
            recovered,
            "clean" if result.clean else "FAILED",
            style="" if result.clean else "bold red",
        )
    return made
