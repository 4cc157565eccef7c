"""`collector status`: prints the state of the running collector for an operator."""

import json
from typing import Any

import aiohttp
from rich.console import Console
from rich.table import Table

from collector.config import Config

NOT_RUNNING = 1


async def run(config: Config, *, as_json: bool) -> int:
    """Print the state; return exit code 0, or 1 if no collector responds on the configured address."""
    url = f"http://{config.collector.listen}/status"
    console = Console(soft_wrap=True)
    try:
        async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(5)) as response:
            answer = await response.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        Console(stderr=True, soft_wrap=True).print(f"collector: no collector responds on {url}: is it running?")
        return NOT_RUNNING
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        console.print(_table(answer))
    return 0


def _table(answer: dict[str, Any]) -> Table:
    table = Table(title=answer["name"], show_header=False)
    stale = answer["pairs_stale"]
    ready = answer["ready"]
    rows = [
        ("ready", ready if isinstance(ready, str) else "no: " + "; ".join(ready)),
        ("pairs", f"{answer['pairs']}, live {answer['pairs_live']}, stale {len(stale)} {' '.join(stale[:3])}"),
        ("frames", ", ".join(f"{channel} {count}" for channel, count in answer["frames"].items())),
        ("closes", ", ".join(f"by {origin} {count}" for origin, count in answer["closes"].items())),
        ("connections", ", ".join(_connection(connection) for connection in answer["connections"])),
        ("fill", f"{answer['fill']['stage']}: candles {_of(answer['fill']['candles'])},"
                 f" windows {_of(answer['fill']['windows'])}"),
        ("weight this minute", str(answer["weight_used_in_minute"])),
    ]  # fmt: skip
    for name, store in answer["stores"].items():
        rows.append((
            f"store {name}",
            f"{store['points_acknowledged']} points stored, {store['points_in_spool']} in the spool,"
            f" {store['rollup_windows_dirty']} windows to re-roll",
        ))  # fmt: skip
    for row in rows:
        table.add_row(*row)
    return table


def _connection(connection: dict[str, Any]) -> str:
    state = "silent" if connection["silent"] else "open" if connection["open"] else "closed"
    return f"{connection['channel']} {connection['streams']} streams {state}"


def _of(pair: list[int]) -> str:
    return f"{pair[0]} of {pair[1]}"
