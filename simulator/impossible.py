"""Impossible candles on request, one kind of nonsense each. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from simulator.candles import Candle


def _volume_without_trade(candle: Candle) -> Candle:
    return replace(candle, trades=0, volume=max(candle.volume, 1), quote=max(candle.quote, 1))


def _high_below_low(candle: Candle) -> Candle:
    return replace(candle, high=candle.low - 1)


def _close_outside(candle: Candle) -> Candle:
    return replace(candle, close=candle.high + 1)


def _negative_volume(candle: Candle) -> Candle:
    return replace(candle, volume=-max(candle.volume, 1))


IMPOSSIBLE: Mapping[str, Callable[[Candle], Candle]] = MappingProxyType(
    {
        "volume_without_trade": _volume_without_trade,
        "high_below_low": _high_below_low,
        "close_outside": _close_outside,
        "negative_volume": _negative_volume,
    }
)


def over(candle: Candle) -> Candle:
    """Return a longer candle that contains an impossible one: it is possible but includes the wrong numbers."""
    return replace(candle, volume=candle.volume + 1_000, quote=candle.quote + 1_000 * candle.close)
