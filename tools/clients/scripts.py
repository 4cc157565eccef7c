"""Runs the scripts in tools/clients/inside/ in the clients' environment and parses their output."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.clients.config import Address, base_config

INSIDE = Path(__file__).with_name("inside")
SECONDS = 600.0
TAIL_LINES = 12


class ScriptFailed(Exception):
    """A script failed to return a result; the message shows the end of its output."""


async def refresh_seconds(
    interpreter: Path, address: Address, pairs: Sequence[str], folder: Path, *, times: int
) -> list[float]:
    """Return how long freqtrade's exchange class takes to refresh these pairs, several times in a row."""
    own = {"user_data_dir": str(folder), "strategy": "Witness"}
    config = _written(folder / "config.json", base_config(address, pairs) | own)
    answer = await _run(interpreter, "refresh_time.py", str(config), str(times))
    if answer["pairs"] != len(pairs):
        raise ScriptFailed(f"freqtrade refreshed {answer['pairs']} of {len(pairs)} pairs")
    seconds: list[float] = answer["seconds"]
    return seconds


async def ccxt_answers(interpreter: Path, address: Address, pair: str, start_ms: int, folder: Path) -> dict[str, Any]:
    """Return how ccxt parses the response to each call, by `sync` and `async`."""
    given = base_config(address, [])["exchange"]["ccxt_config"]
    # freqtrade adds these two itself: the trading mode, and the throttle, which a local server does not need.
    given["options"]["defaultType"] = "swap"
    config = _written(folder / "ccxt.json", given | {"enableRateLimit": address.throttled})
    answers: dict[str, Any] = await _run(interpreter, "ccxt_calls.py", str(config), pair, str(start_ms))
    return answers


def _written(file: Path, config: Mapping[str, Any]) -> Path:
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")
    return file


async def _run(interpreter: Path, name: str, *arguments: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        str(interpreter),
        str(INSIDE / name),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError as late:
        process.kill()
        await process.wait()
        raise ScriptFailed(f"{name} took longer than {SECONDS:.0f} s") from late
    lines = out.decode().strip().splitlines()
    if process.returncode or not lines:
        told = "\n".join((errors.decode(errors="replace") + out.decode()).splitlines()[-TAIL_LINES:])
        raise ScriptFailed(f"{name} exited with code {process.returncode}:\n{told}")
    return json.loads(lines[-1])
