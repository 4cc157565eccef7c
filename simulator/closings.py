"""Times at which closing frames are sent: about two seconds after the close, sometimes later, twice or never."""

from simulator.noise import hash_at, key_of

_LATE = 0.006
_MISSING = 0.004
_MISSING_IDLE = 0.08  # share of the candles without trades, which are few
_DOUBLED = 0.01


def delays_ms(seed: int, symbol: str, interval: str, open_ms: int, *, idle: bool) -> list[int]:
    """Return how many ms after the close the closing frame is sent, once per sending; empty if never. Deterministic.

    Usually 1.6 to 2.6 s (freqtrade#11571); late is 4.5 to 24 s (JKorf/Binance.Net#1267). Late and missing together are
    below 2 % of all closes; `idle` means a candle without trades.
    """
    bits = hash_at(key_of(seed, symbol, interval, "closing"), open_ms)
    share = (bits & 0xFFFF) / 65_536.0
    usual = 1_600 + (bits >> 16) % 1_000
    missing = _MISSING_IDLE if idle else _MISSING
    if share < missing:
        return []
    if share < missing + _LATE:
        return [4_500 + (bits >> 32) % 19_500]
    if share < missing + _LATE + _DOUBLED:
        return [usual, usual + 250 + (bits >> 32) % 2_000]
    return [usual]
