"""Learns where the present contract of each watched pair begins, and writes it to the stores.

A pair's first candle is looked up once (exchange/first_candles.py); from then on it limits what is expected of the
pair. Readers, gateways and the sentinel read it from the measurement ``contracts``.
"""

import logging
from collections.abc import Iterable, MutableMapping
from typing import Protocol

from collector.ingest.ingest import Ingest
from exchange.universe import Instrument
from marketdata.serializer import Unserializable

log = logging.getLogger(__name__)


class Firsts(Protocol):
    """Knows where candles begin; `FirstCandles` asks the exchange once."""

    def known(self, info: Instrument) -> bool:
        """Whether the symbol's first candle is known."""

    async def find_all(self, infos: Iterable[Instrument]) -> list[Instrument]:
        """Return each symbol with its ``begins_ms``, as far as known by then. Raises ExchangeError."""


class Contracts:
    """`watched` changes while it runs; its instruments are replaced by ones with a known `begins_ms`."""

    def __init__(self, firsts: Firsts, ingest: Ingest, watched: MutableMapping[str, Instrument]) -> None:
        self._firsts = firsts
        self._ingest = ingest
        self._watched = watched
        self._noted: set[tuple[str, int]] = set()  # pair, onboardDate: written by this process

    async def learn(self) -> None:
        """Learn what is not yet known about the pairs watched now. Raises ExchangeError."""
        todo = [info for info in self._watched.values() if (info.pair, info.onboard_ms) not in self._noted]
        for info, found in zip(todo, await self._firsts.find_all(todo), strict=True):
            if not self._firsts.known(found):
                continue  # it has no candle yet
            if self._watched.get(info.pair) is info:  # it may have been dropped, or listed again, meanwhile
                self._watched[info.pair] = found
            self._noted.add((info.pair, info.onboard_ms))
            try:
                self._ingest.on_contract(info.pair, found.begins_ms, info.onboard_ms)
            except Unserializable as error:
                log.warning('first candle not storable pair=%s error="%s"', info.pair, error)
