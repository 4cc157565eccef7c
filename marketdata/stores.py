"""Where to read: the stores' addresses and tokens, and which of several answers."""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marketdata.errors import InvalidRequest, MarketDataError, StoreUnavailable, Unauthorized

#: A store is fresh while its newest final candle opened less than this before now: two candles and the 60 s after
#: which a missing candle counts as stale.
FRESH_MS = 2 * 180_000 + 60_000

_RECHECK_MS = 10_000
_RECHECK_DEAD_MS = 60_000


@dataclass(frozen=True, slots=True)
class Store:
    """One InfluxDB 2. Give `token_file`, read at each query so that a new token needs no restart, or `token`.

    For an https address `ca_file` (PEM) is trusted besides the system's authorities. The token alone decides the
    organization: `/query` takes no notice of one.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    token_file: Path | str | None = None
    ca_file: Path | str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InvalidRequest(f"store url {self.url!r} must start with http:// or https://")
        if (self.token is None) == (self.token_file is None):
            raise InvalidRequest(f"store {self.url}: give either token_file or token")

    def read_token(self) -> str:
        """Return the token. Raises Unauthorized if its file cannot be read or the token is empty or not one line."""
        token = self.token
        if self.token_file is not None:
            try:
                token = Path(self.token_file).read_text(encoding="ascii")
            except (OSError, ValueError) as e:
                raise Unauthorized(f"store {self.url}: token file {self.token_file} cannot be read: {e}") from e
        token = (token or "").strip()
        if not token or not token.isascii() or not token.isprintable():
            raise Unauthorized(f"store {self.url}: the token is empty or not one line of ASCII text")
        return token


def stores_from_env(environ: Mapping[str, str]) -> list[Store]:
    """Return the one store of MARKETDATA_URL, MARKETDATA_TOKEN_FILE (or MARKETDATA_TOKEN) and MARKETDATA_CA_FILE.

    Raises InvalidRequest.
    """
    url = environ.get("MARKETDATA_URL")
    if not url:
        raise InvalidRequest("set MARKETDATA_URL, for example http://127.0.0.1:8086, and MARKETDATA_TOKEN_FILE")
    token, token_file = environ.get("MARKETDATA_TOKEN"), environ.get("MARKETDATA_TOKEN_FILE")
    return [Store(url, token, token_file, environ.get("MARKETDATA_CA_FILE") or None)]


def stores_from_file(path: Path | str) -> list[Store]:
    """Return the stores of a TOML file, one `[[store]]` with `url` and `token_file` each. Raises InvalidRequest."""
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))["store"]
        return [Store(**entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise InvalidRequest(f"{path}: write [[store]] with url and token_file for each store ({e})") from e


def trust(ca_files: Iterable[Path | str | None]) -> ssl.SSLContext:
    """Return what checks the stores' certificates: the system's authorities and the files'. Raises InvalidRequest."""
    context = ssl.create_default_context()
    for ca_file in ca_files:
        if ca_file is None:
            continue
        try:
            context.load_verify_locations(ca_file)
        except OSError as e:  # ssl.SSLError is one
            raise InvalidRequest(f"ca_file {ca_file} holds no readable certificate ({e}): name a PEM file") from e
    return context


class Ranking:
    """Which store answers: the first fresh one, else the one with the newest candle; a dead one is asked last."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._newest_ms: list[int | None] = [None] * len(stores)
        self._checked_ms: list[int | None] = [None] * len(stores)

    def due(self, now_ms: int) -> list[int]:
        """Return the stores whose freshness is to be asked again; none of them where there is only one store."""
        if len(self._newest_ms) == 1:
            return []
        return [index for index in range(len(self._newest_ms)) if self._is_due(index, now_ms)]

    def note(self, index: int, newest_ms: int | None, now_ms: int) -> None:
        """Note a store's newest candle (open time in ms; 0: it has none), or None when it did not answer."""
        self._newest_ms[index] = newest_ms
        self._checked_ms[index] = now_ms

    def order(self, now_ms: int) -> list[int]:
        """Return the stores in the order in which they are to be asked."""
        newest = [-1 if newest_ms is None else newest_ms for newest_ms in self._newest_ms]
        fresh = [index for index in range(len(newest)) if now_ms - newest[index] < FRESH_MS]
        others = [index for index in range(len(newest)) if index not in fresh]
        return fresh + sorted(others, key=lambda index: -newest[index])

    def _is_due(self, index: int, now_ms: int) -> bool:
        checked_ms = self._checked_ms[index]
        wait_ms = _RECHECK_DEAD_MS if self._newest_ms[index] is None else _RECHECK_MS
        return checked_ms is None or not 0 <= now_ms - checked_ms < wait_ms


def all_failed(failures: Sequence[MarketDataError]) -> MarketDataError:
    """Return the one error to raise when no store could answer; its message says why for each."""
    if len(failures) == 1:
        return failures[0]
    refused = all(isinstance(failure, Unauthorized) for failure in failures)
    message = "; ".join(str(failure) for failure in failures)
    return Unauthorized(message) if refused else StoreUnavailable(message)
