"""Stream names: which exist, what they carry, and which route delivers them."""

from dataclasses import dataclass

from simulator.intervals import INTERVALS
from simulator.universe import Instrument, Universe

_ALL = {
    "!markPrice@arr": ("mark_all", "3s"),
    "!markPrice@arr@1s": ("mark_all", "1s"),
    "!ticker@arr": ("ticker_all", ""),
    "!contractInfo": ("contract_info", ""),
}
_PLAIN = {"aggTrade": "trade", "bookTicker": "book", "ticker": "ticker"}
_MARK_SPEEDS = {"markPrice": "3s", "markPrice@3s": "3s", "markPrice@1s": "1s"}
_DEPTHS = {f"depth{levels}": levels for levels in ("5", "10", "20")}
_PUBLIC = ("book", "depth")


@dataclass(frozen=True, slots=True)
class Topic:
    """The content of a stream. Several names may refer to one topic (`markPrice` and `markPrice@3s`)."""

    kind: str
    instrument: Instrument | None
    detail: str = ""

    def served_on(self, route: str) -> bool:
        """Book streams are delivered on /public and on the unrouted path, all others only on /market."""
        return route in ("public", "unrouted") if self.kind in _PUBLIC else route == "market"


def parse(name: str, universe: Universe) -> Topic | None:
    """Return the topic of a stream name; None if it does not exist or is not lower case: acknowledged but silent."""
    if name in _ALL:
        kind, detail = _ALL[name]
        return Topic(kind, None, detail)
    symbol, _, rest = name.partition("@")
    instrument = universe.get(symbol)
    if instrument is None or symbol != instrument.stream_name:
        return None
    if rest.startswith("kline_") and rest[6:] in INTERVALS:
        return Topic("kline", instrument, rest[6:])
    if rest in _PLAIN:
        return Topic(_PLAIN[rest], instrument)
    if rest in _MARK_SPEEDS:
        return Topic("mark", instrument, _MARK_SPEEDS[rest])
    depth, _, speed = rest.partition("@")
    if depth in _DEPTHS and speed in ("", "100ms", "250ms", "500ms"):
        return Topic("depth", instrument, _DEPTHS[depth])
    return None
