"""The options of `make demo`: environment variables, because make passes them on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]

type ExchangeName = Literal["simulator", "binance"]


class BadSetting(Exception):
    """An invalid variable; the message names it, its value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """seconds: check and stop this long after everything is live; None: run until Ctrl-C."""

    exchange: ExchangeName = "simulator"
    seconds: float | None = None
    pairs: int | None = None
    folder: Path = ROOT / ".demo"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read EXCHANGE, DEMO_SECONDS, DEMO_PAIRS (simulator only) and DEMO_FOLDER. Raises BadSetting.

    An empty variable counts as unset, because make passes unset variables as empty strings.
    """
    exchange = environment.get("EXCHANGE") or "simulator"
    if exchange not in ("simulator", "binance"):
        raise BadSetting(f"EXCHANGE={exchange}: allowed: simulator, binance")
    seconds = _whole(environment, "DEMO_SECONDS", 1, 7 * 86_400)
    pairs = _whole(environment, "DEMO_PAIRS", 1, 2_000)
    if pairs is not None and exchange != "simulator":
        raise BadSetting(f"DEMO_PAIRS={pairs}: the number of pairs can only be set for the simulator")
    folder = environment.get("DEMO_FOLDER")
    return Settings(
        exchange="binance" if exchange == "binance" else "simulator",
        seconds=seconds,
        pairs=pairs,
        folder=Path(folder).absolute() if folder else Settings.folder,
    )


def _whole(environment: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise BadSetting(f"{name}={text}: allowed: a whole number from {least} to {most}")
    return int(text)
