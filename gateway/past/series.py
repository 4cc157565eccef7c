"""The newest windows of one pair and interval, kept as the bytes of a response. Pure.

Final windows are added as memory completes them; a response joins them and the forming one, so that most requests cost
one copy. Compression works alike: the compressor's state after the final windows is kept and copied.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.memory.memory import PairState
from gateway.memory.rows import Row, Values, decode, of_candle
from gateway.memory.windows import Digits, Grid, merge, row, untraded
from marketdata.timeframes import BASE_MS

KEPT = 1_500
_SLACK = 100
_PREFIXES = 4
"""How many different limits are remembered at a time."""

ALIVE_MS = 10_000
"""If the exchange reported anything this recently, the pair has a forming candle even without a trade in it yet."""

_GZIP_WINDOW_BITS = 31


@dataclass(slots=True)
class _Prefix:
    """The joined final rows of a response, and a compressor that has read them, with its output so far."""

    version: int
    body: bytes
    compressor: "zlib._Compress | None" = None
    compressed: bytes = b""

    def gzipped(self, rest: bytes) -> bytes:
        if self.compressor is None:
            compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WINDOW_BITS)
            self.compressed = compressor.compress(self.body) + compressor.flush(zlib.Z_SYNC_FLUSH)
            self.compressor = compressor
        end = self.compressor.copy()
        return self.compressed + end.compress(rest) + end.flush()


@dataclass(slots=True)
class Series:
    """All existing final windows that open in [first_ms, until_ms). `days`, for a weekly series, is the daily one."""

    grid: Grid
    digits: Digits
    first_ms: int
    until_ms: int
    opens: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    days: "Series | None" = None
    version: int = 0
    _prefixes: dict[int, _Prefix] = field(default_factory=dict)
    _so_far: tuple[tuple[int, int], Values | None] = ((-1, -1), None)

    def append(self, rows: list[tuple[int, Row]], until_ms: int) -> None:
        """Add windows after the last one; none is missing before `until_ms`."""
        self.opens.extend(open_ms for open_ms, _ in rows)
        self.rows.extend(text for _, text in rows)
        self.until_ms = until_ms
        self.version += 1
        if len(self.rows) > KEPT + _SLACK:
            self.first_ms = self.opens[-KEPT]
            del self.opens[:-KEPT], self.rows[:-KEPT]

    def extend(self, state: PairState) -> bool:
        """Add the windows that memory has completed since; False if it lacks a candle of one."""
        while self.until_ms + self.grid.length_ms <= state.next_open_ms:
            end_ms = self.until_ms + self.grid.length_ms
            if self.grid.length_ms > BASE_MS and state.spoils(self.until_ms, end_ms):
                self.append([], end_ms)
                continue
            candles = self._candles(state, self.until_ms, end_ms)
            if candles is None:
                return False
            self.append([(self.until_ms, self._joined(candles))] if candles else [], end_ms)
        return True

    def rewind(self, open_ms: int) -> None:
        """Forget the window of a corrected 3m candle, which opened at `open_ms`, and all windows after it."""
        from_ms = self.grid.open_of(open_ms)
        if self.days is not None:
            self.days.rewind(open_ms)
        if from_ms >= self.until_ms:
            return
        while self.opens and self.opens[-1] >= from_ms:
            del self.opens[-1], self.rows[-1]
        self.until_ms = max(from_ms, self.first_ms)
        self.version += 1

    def forming(self, state: PairState, now_ms: int) -> Row | None:
        """Return the row of the forming window, None while an earlier one is not final or the pair is silent."""
        values = self._forming(state, now_ms)
        return None if values is None else row(values)

    def body(self, limit: int, forming: Row | None) -> tuple[bytes, Callable[[], bytes]]:
        """Return the JSON of the newest `limit` rows, including the forming one, and a function that compresses it."""
        count = limit - (forming is not None)
        prefix = self._prefix(count)
        rest = b"]" if forming is None else forming + b"]" if len(prefix.body) == 1 else b"," + forming + b"]"
        return prefix.body + rest, lambda: prefix.gzipped(rest)

    def _prefix(self, count: int) -> _Prefix:
        known = self._prefixes.get(count)
        if known is None or known.version != self.version:
            if len(self._prefixes) >= _PREFIXES:
                self._prefixes.clear()
            rows = self.rows[-count:] if count else []
            known = self._prefixes[count] = _Prefix(self.version, b"[" + b",".join(rows))
        return known

    def _candles(self, state: PairState, open_ms: int, stop_ms: int) -> list[Row] | None:
        """The final rows that make up a window, None if one is unknown."""
        if self.days is not None:
            if not self.days.extend(state) or not self.days.first_ms <= open_ms:
                return None
            return [text for at, text in zip(self.days.opens, self.days.rows, strict=True) if open_ms <= at < stop_ms]
        if state.lacks(open_ms, stop_ms):
            return None
        return [text for _, text in state.shown(open_ms, stop_ms)]

    def _joined(self, candles: list[Row]) -> Row:
        if self.grid.length_ms == BASE_MS:
            return candles[0]
        return row(merge([decode(text) for text in candles], self.until_ms, self.grid.length_ms))

    def _forming(self, state: PairState, now_ms: int) -> Values | None:
        open_ms = self.until_ms
        if self.grid.open_of(now_ms) != open_ms:
            return None
        parts = []
        final = self._final_so_far(state)
        if final is not None:
            parts.append(final)
        if self.days is not None:
            day = self.days._forming(state, now_ms)  # noqa: SLF001 - same class
            parts += [] if day is None else [day]
        else:
            parts += [decode(of_candle(frame)) for frame in state.unfinished() if frame.open_time_ms >= open_ms]
        if parts:
            return merge(parts, open_ms, self.grid.length_ms)
        alive = now_ms - state.event_ms <= ALIVE_MS and self.days is None
        last = state.rows.get(state.next_open_ms - BASE_MS)
        if not alive or last is None or state.next_open_ms != now_ms - now_ms % BASE_MS:
            return None
        return untraded(open_ms, self.grid.length_ms, decode(last).close, self.digits)

    def _final_so_far(self, state: PairState) -> Values | None:
        """The final candles of the forming window, merged into one."""
        key = (state.version, self.version)
        if self._so_far[0] != key:
            stop_ms = state.next_open_ms if self.days is None else self.days.until_ms
            candles = self._candles(state, self.until_ms, stop_ms) if stop_ms > self.until_ms else []
            values = [decode(text) for text in candles or ()]
            self._so_far = key, merge(values, self.until_ms, self.grid.length_ms) if values else None
        return self._so_far[1]
