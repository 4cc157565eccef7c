"""The pairs this collector has known to trade, on disk: to the exchange, a delisted pair and a wrong name look alike.

    <state_dir>/known-pairs.json     names are only added; written at startup and on a listing

A name in `[exchange] pairs` that the exchange no longer lists must not keep the others from being collected after a
reboot. A name that was never known is a configuration error.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from collector.feed.symbols import DELISTED, HALTED, PairState
from exchange.universe import Instrument, Selection, Universe, fits, unreadable_of
from service.durable_files import write_json_durably

log = logging.getLogger(__name__)

FILE = "known-pairs.json"


class Named[Pairs](NamedTuple):
    """The configured pairs that remain, and the known ones that the exchange no longer has."""

    pairs: Pairs
    gone: tuple[str, ...]


def without_gone(
    universe: Universe, pairs: Literal["all"] | Sequence[str], known: Iterable[str]
) -> Named[Literal["all"] | Sequence[str]]:
    """Separate out the names of `[exchange] pairs` that were known but are no longer contracts we collect. Pure.

    A pair whose row cannot be read counts as present: the row may be readable tomorrow.
    """
    if pairs == "all":
        return Named("all", ())
    there = {info.pair for info in universe.symbols.values() if info.ours}.union(unreadable_of(universe, pairs))
    gone = (set(pairs) & set(known)) - there
    return Named(
        [pair for pair in pairs if pair not in gone], tuple(pair for pair in dict.fromkeys(pairs) if pair in gone)
    )


def states_at_start(selection: Selection, gone: Iterable[str]) -> dict[str, PairState]:
    """Return the states of the pairs that are configured but not collected. Pure."""
    states = {info.pair: DELISTED if info.state == "ended" else HALTED for info in selection.not_trading}
    return states | dict.fromkeys(selection.unreadable, HALTED) | dict.fromkeys(gone, DELISTED)


def fits_one_of(pattern: str, known: Iterable[str]) -> bool:
    """Whether a pattern matches pairs that were known: then it is outdated, not wrong."""
    return any(fits(pair, pattern) for pair in known)


class KnownPairs:
    """The known names. Starts with those an earlier process knew; `add` writes the file when there are new ones."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE
        # Ledgers are older than this file, and name every pair that was filled.
        self.pairs = _read(self._path, "pairs").union(
            *(_read(ledger, "filled_from") for ledger in sorted(state_dir.glob("ledger-*.json")))
        )

    def add(self, symbols: Iterable[Instrument]) -> None:
        """Remember pairs that the exchange lists now. A failed write is logged, and collecting goes on."""
        more = self.pairs.union(info.pair for info in symbols)
        if more == self.pairs and self._path.exists():
            return
        self.pairs = more
        try:
            write_json_durably(self._path, {"pairs": sorted(more)})
        except OSError as error:
            log.warning('known pairs write failed file=%s error="%s"', self._path, error)


def _read(path: Path, key: str) -> frozenset[str]:
    """Return the names in a file; none if it cannot be read, so that the other pairs are collected all the same."""
    try:
        return frozenset(str(name) for name in json.loads(path.read_text(encoding="utf-8"))[key])
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning('known pairs read failed file=%s error="%r"', path, error)
        return frozenset()
