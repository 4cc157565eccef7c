"""The roll-up scripts: the text of each task, and the same text for any other point in time."""

import re
from datetime import UTC, datetime
from pathlib import Path

TASKS_DIR = Path(__file__).parent / "tasks"
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def task_names() -> list[str]:
    """Return the names of all tasks, shortest window first."""
    return sorted(
        (path.stem for path in TASKS_DIR.glob("*.flux")), key=lambda name: _duration_ms(_script(name), "window")
    )


def task_script(timeframe: str) -> str:
    """Return the Flux of the task that writes `ohlcv_<timeframe>`.

    Raises ValueError for a timeframe that no task rolls up.
    """
    if f"ohlcv_{timeframe}" not in task_names():
        known = ", ".join(name.removeprefix("ohlcv_") for name in task_names())
        raise ValueError(f"timeframe: {timeframe!r}, allowed: {known}")
    return _script(f"ohlcv_{timeframe}")


def script_at(script: str, now_ms: int) -> str:
    """Return the script as it would run at now_ms, for POST /api/v2/query with the repair token.

    It rolls up every complete window in [now - overlap, now), with now truncated to a whole window. To reach a window,
    use any now_ms after its end, as long as its open is within the overlap. Flux requires options right after the
    imports.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    lines = script.splitlines(keepends=True)
    last_import = max(index for index, line in enumerate(lines) if line.startswith("import "))
    lines.insert(last_import + 1, f"\noption now = () => {now}\n")
    return "".join(lines)


def overlap_ms(timeframe: str) -> int:
    """Return how far back one run reaches, in whole windows."""
    return _duration_ms(task_script(timeframe), "overlap")


def _script(name: str) -> str:
    return (TASKS_DIR / f"{name}.flux").read_text(encoding="utf-8")


def _duration_ms(script: str, variable: str) -> int:
    match = re.search(rf"^{variable} = (\d+)([mhd])$", script, re.MULTILINE)
    assert match is not None, variable
    return int(match[1]) * _UNIT_MS[match[2]]
