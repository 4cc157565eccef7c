"""Deterministic noise: hashed integers and smooth curves through them.

Everything here is integer hashing or `+ - * /` on float64, which IEEE 754 defines to the last bit. `exp`, `sin` and
`pow` differ between processors and libraries, so the market's digests would differ between machines.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

type Hashes = NDArray[np.uint64]
type Floats = NDArray[np.float64]
type Ints = NDArray[np.int64]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def key_of(*parts: object) -> int:
    """Return a 64-bit key for a purpose, for example `key_of(seed, "BTCUSDT", "trades")`."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def hash_at(key: int, index: int) -> int:
    """Return the 64-bit hash number `index` of `key`; the scalar version of `hashes_at`."""
    x = (key + index * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * _MIX_1) & _MASK
    x = ((x ^ (x >> 27)) * _MIX_2) & _MASK
    return x ^ (x >> 31)


def share_at(key: int, index: int) -> float:
    """Return a uniform number in [0, 1)."""
    return (hash_at(key, index) >> 11) * 2.0**-53


def hashes_at(key: int, indexes: Ints) -> Hashes:
    """Return splitmix64 (Steele, Lea, Flood 2014) of `key` at each index, in the shape of `indexes`."""
    x = indexes.astype(np.uint64)
    x *= np.uint64(_GOLDEN)
    x += np.uint64(key)
    x ^= x >> np.uint64(30)
    x *= np.uint64(_MIX_1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_MIX_2)
    x ^= x >> np.uint64(31)
    return x


def lattice(key: int, first: int, count: int) -> Floats:
    """Return uniform numbers in [-1, 1) at the integers from `first`, shape (count,)."""
    hashes = hashes_at(key, np.arange(first, first + count, dtype=np.int64))
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def smooth(key: int, period: int, first: int, count: int) -> Floats:
    """Return a curve in [-1, 1) at `count` integers from `first`, through one lattice point every `period`."""
    steps = np.arange(first, first + count, dtype=np.int64)
    cells = steps // period
    points = lattice(key, int(cells[0]), int(cells[-1] - cells[0]) + 2)
    cells -= cells[0]
    share = (steps % period) / float(period)
    share = share * share * (3.0 - 2.0 * share)
    left = points[cells]
    return left + (points[cells + 1] - left) * share


def smooth_at(key: int, period: int, step: int) -> float:
    """Return one value of `smooth`, identical to the last bit."""
    cell, inside = divmod(step, period)
    left, right = ((hash_at(key, cell + i) >> 11) * 2.0**-52 - 1.0 for i in (0, 1))
    share = inside / float(period)
    share = share * share * (3.0 - 2.0 * share)
    return left + (right - left) * share
