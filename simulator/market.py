"""The market: every trade is a pure function of (seed, symbol, time).

Time is divided into slots of equal length (1 to 10 s, depending on the symbol). A slot has one aggregate trade or none,
determined only by its hash, so any time range can be computed without the previous one. The first slot of every hour
always has a trade, so the last price before any time is found within the hour.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.noise import Floats, Ints, hashes_at, key_of, lattice, smooth, smooth_at

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

# (period in minutes, amplitude as a share of the base price): the square-root scaling of a random walk. The sum times
# the largest volatility stays below 1, so prices are always positive.
_OCTAVES = (
    (92_160, 0.160),
    (23_040, 0.106),
    (5_760, 0.053),
    (1_440, 0.026),
    (360, 0.0132),
    (90, 0.0066),
    (30, 0.0038),
    (10, 0.0022),
    (3, 0.0012),
)
MAX_VOLATILITY = 2.0
_RIPPLE_MS = 20_000
_RIPPLE = 0.0005
_TRADE_NOISE = 0.0004
_IDS_A_DAY = 6_000_000


@dataclass(frozen=True, slots=True)
class MarketShape:
    """The characteristics of a symbol's market.

    Prices are integers of 10^-pricePrecision, quantities of 10^-quantityPrecision.
    """

    symbol: str
    base_price: int
    tick: int
    step: int
    slot_ms: int
    activity: int  # number of slots, out of 65,536, that have a trade
    volatility: float
    max_quantity: int  # in steps
    max_fills: int  # fills in one aggregate trade
    listed_ms: int = 0  # a full hour; candles start here

    def __post_init__(self) -> None:
        if _RIPPLE_MS % self.slot_ms or not 0 < self.volatility <= MAX_VOLATILITY:
            raise ValueError(
                f"{self.symbol}: slot_ms must divide {_RIPPLE_MS} and volatility be in (0, {MAX_VOLATILITY}]"
            )


@dataclass(frozen=True, slots=True)
class Trades:
    """Slots, shape (slots in a minute, minutes): column m is minute m, time runs down the column.

    A slot without a trade has quantity and fills 0; its price and time are meaningless.
    """

    traded: NDArray[np.bool_]
    time_ms: Ints
    price: Ints
    quantity: Ints
    fills: Ints
    buyer_is_taker: Ints  # 1 or 0


class Market:
    """The market for one seed. Stateless except for derived keys."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._keys: dict[str, tuple[int, int, tuple[int, ...]]] = {}

    def minute_prices(self, shape: MarketShape, first_minute: int, count: int) -> Floats:
        """Return the fair price at each full minute since the epoch, in price units, shape (count,)."""
        octave_keys = self._keys_of(shape.symbol)[2]
        total = np.zeros(count)
        for key, (period, amplitude) in zip(octave_keys, _OCTAVES, strict=True):
            total += smooth(key, period, first_minute, count) * (amplitude * shape.volatility)
        return (1.0 + total) * float(shape.base_price)

    def minute_price(self, shape: MarketShape, minute: int) -> float:
        """Return one of `minute_prices`, identical to the last bit."""
        total = 0.0
        for key, (period, amplitude) in zip(self._keys_of(shape.symbol)[2], _OCTAVES, strict=True):
            total += smooth_at(key, period, minute) * (amplitude * shape.volatility)
        return (1.0 + total) * float(shape.base_price)

    def trades(self, shape: MarketShape, start_ms: int, minutes: int) -> Trades:
        """Return the slots of `minutes` minutes from `start_ms` (a full minute)."""
        trade_key, ripple_key, _ = self._keys_of(shape.symbol)
        a_minute = MINUTE_MS // shape.slot_ms
        first_slot = start_ms // shape.slot_ms
        slots = (
            first_slot
            + np.arange(a_minute, dtype=np.int64)[:, None]
            + np.arange(0, minutes * a_minute, a_minute, dtype=np.int64)[None, :]
        )
        bits = hashes_at(trade_key, slots).view(
            np.int64
        )  # only masked bits are used below, so the sign does not matter

        traded = (bits & 0xFFFF) < shape.activity
        traded |= slots % (HOUR_MS // shape.slot_ms) == 0
        skew = (bits >> 16) & 0xFFFF
        skew = (skew * skew) >> 16
        skew = (skew * skew) >> 16
        quantity = (((skew * shape.max_quantity) >> 16) + 1) * (traded * shape.step)
        fills = (bits >> 40) & 0xFF
        fills = ((((fills * fills) >> 8) * shape.max_fills >> 8) + 1) * traded

        price = self._slot_prices(shape, ripple_key, start_ms, minutes)
        price *= ((bits >> 32) & 0xFF) * (_TRADE_NOISE / 256.0) + (1.0 - _TRADE_NOISE / 2.0)
        ticks = np.rint(price * (1.0 / shape.tick)).astype(np.int64)
        return Trades(
            traded=traded,
            time_ms=slots * shape.slot_ms + ((((bits >> 49) & 0x7FFF) * shape.slot_ms) >> 15),
            price=np.maximum(ticks, 1) * shape.tick,
            quantity=quantity,
            fills=fills,
            buyer_is_taker=(bits >> 48) & 1,
        )

    def _slot_prices(self, shape: MarketShape, ripple_key: int, start_ms: int, minutes: int) -> Floats:
        """Interpolate linearly between the minutes' fair prices, add a ripple; shape (slots in a minute, minutes)."""
        a_minute = MINUTE_MS // shape.slot_ms
        ends = self.minute_prices(shape, start_ms // MINUTE_MS, minutes + 1)
        elapsed = np.arange(a_minute, dtype=np.float64) / float(a_minute)
        price: Floats = ends[:-1][None, :] + (ends[1:] - ends[:-1])[None, :] * elapsed[:, None]

        waves = MINUTE_MS // _RIPPLE_MS
        points = lattice(ripple_key, start_ms // _RIPPLE_MS, waves * minutes + 1) * (_RIPPLE * shape.volatility)
        left = points[:-1].reshape(minutes, waves).T
        rise = (points[1:] - points[:-1]).reshape(minutes, waves).T
        share = np.arange(a_minute // waves, dtype=np.float64) / float(a_minute // waves)
        ripple = left[:, None, :] + rise[:, None, :] * share[None, :, None]
        price *= ripple.reshape(a_minute, minutes) + 1.0
        return price

    def first_trade_id(self, time_ms: int) -> int:
        """Return the id below all ids of that UTC day. Ids are consecutive within a day and jump between days."""
        return time_ms // DAY_MS * _IDS_A_DAY

    def digest(self, shape: MarketShape, hour_start_ms: int) -> str:
        """Return the SHA-256 of an hour's trades in order, to pin the truth."""
        trades = self.trades(shape, hour_start_ms, HOUR_MS // MINUTE_MS)
        happened = trades.traded.T
        columns = (trades.time_ms, trades.price, trades.quantity, trades.fills, trades.buyer_is_taker)
        table = np.stack([column.T[happened] for column in columns])
        return hashlib.sha256(table.astype("<i8").tobytes()).hexdigest()

    def _keys_of(self, symbol: str) -> tuple[int, int, tuple[int, ...]]:
        keys = self._keys.get(symbol)
        if keys is None:
            octaves = tuple(key_of(self.seed, symbol, "octave", period) for period, _ in _OCTAVES)
            keys = (key_of(self.seed, symbol, "trades"), key_of(self.seed, symbol, "ripple"), octaves)
            self._keys[symbol] = keys
        return keys
