"""The stores to read from: addresses, tokens, and which of several to use."""

from __future__ import annotations

import ssl
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from marketdata.errors import InvalidRequest, MarketDataError, StoreUnavailable, Unauthorized

#: A store is fresh if its newest final candle opened less than this long ago: two candles and the 60 s after which a
#: missing candle counts as stale.
FRESH_MS = 2 * 180_000 + 60_000

_RECHECK_MS = 10_000
_RECHECK_DEAD_MS = 60_000


@dataclass(frozen=True, slots=True)
class Store:
    """An InfluxDB 2. Give either `token_file`, which is read for each query so that a new token needs no restart, or
    `token`.

    For an https address, `ca_file` (PEM) is trusted in addition to the system's CAs. The token determines the
    organization; `/query` ignores the parameter.
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
        """Return the token. Raises Unauthorized if the file is unreadable or has no token, or more than one line."""
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
    """Return the store configured by MARKETDATA_URL, MARKETDATA_TOKEN_FILE (or MARKETDATA_TOKEN) and
    MARKETDATA_CA_FILE.

    Raises InvalidRequest.
    """
    url = environ.get("MARKETDATA_URL")
    if not url:
        raise InvalidRequest("set MARKETDATA_URL, for example http://127.0.0.1:8086, and MARKETDATA_TOKEN_FILE")
    token, token_file = environ.get("MARKETDATA_TOKEN"), environ.get("MARKETDATA_TOKEN_FILE")
    return [Store(url, token, token_file, environ.get("MARKETDATA_CA_FILE") or None)]


def stores_from_file(path: Path | str) -> list[Store]:
    """Return the stores in a TOML file, each a `[[store]]` with `url` and `token_file`. Raises InvalidRequest."""
    try:
        entries = tomllib.loads(Path(path).read_text(encoding="utf-8"))["store"]
        return [Store(**entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise InvalidRequest(f"{path}: write [[store]] with url and token_file for each store ({e})") from e


def trust(ca_files: Iterable[Path | str | None]) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's CAs and these files. Raises InvalidRequest."""
    context = ssl.create_default_context()
    for ca_file in ca_files:
        if ca_file is None:
            continue
        try:
            context.load_verify_locations(ca_file)
        except OSError as e:  # includes ssl.SSLError
            raise InvalidRequest(f"ca_file {ca_file} holds no readable certificate ({e}): name a PEM file") from e
    return context


class Ranking:
    """Which store to use: the first fresh one, or else the one with the newest candle; failed ones come last."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._newest_ms: list[int | None] = [None] * len(stores)
        self._checked_ms: list[int | None] = [None] * len(stores)

    def due(self, now_ms: int) -> list[int]:
        """Return the stores whose freshness is to be checked again; empty if there is only one store."""
        if len(self._newest_ms) == 1:
            return []
        return [index for index in range(len(self._newest_ms)) if self._is_due(index, now_ms)]

    def note(self, index: int, newest_ms: int | None, now_ms: int) -> None:
        """Record a store's newest candle (open time in ms; 0: it has none), or None if it did not respond."""
        self._newest_ms[index] = newest_ms
        self._checked_ms[index] = now_ms

    def order(self, now_ms: int) -> list[int]:
        """Return the stores in the order in which to try them."""
        newest = [-1 if newest_ms is None else newest_ms for newest_ms in self._newest_ms]
        fresh = [index for index in range(len(newest)) if now_ms - newest[index] < FRESH_MS]
        others = [index for index in range(len(newest)) if index not in fresh]
        return fresh + sorted(others, key=lambda index: -newest[index])

    def _is_due(self, index: int, now_ms: int) -> bool:
        checked_ms = self._checked_ms[index]
        wait_ms = _RECHECK_DEAD_MS if self._newest_ms[index] is None else _RECHECK_MS
        return checked_ms is None or not 0 <= now_ms - checked_ms < wait_ms


def all_failed(failures: Sequence[MarketDataError]) -> MarketDataError:
    """Return the error to raise if no store could answer; its message gives the reason for each."""
    if len(failures) == 1:
        return failures[0]
    refused = all(isinstance(failure, Unauthorized) for failure in failures)
    message = "; ".join(str(failure) for failure in failures)
    return Unauthorized(message) if refused else StoreUnavailable(message)
