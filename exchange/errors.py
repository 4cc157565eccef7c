"""Everything a request to the exchange can end in besides rows. Each error tells the operator what to do."""

from __future__ import annotations


class ExchangeError(Exception):
    """A request failed. `str()` is one line: what happened, then `action`.

    `action` is what the operator should do about it; `retryable` says whether the same read may succeed later without
    anybody doing anything.
    """

    retryable = False

    def __init__(self, message: str, action: str) -> None:
        super().__init__(f"{message}: {action}")
        self.action = action


class Unreachable(ExchangeError):
    """No connection: name, route, port, TLS."""

    retryable = True


class Untrusted(Unreachable):
    """A server answered whose certificate no trusted authority signed."""

    retryable = False


class Unavailable(ExchangeError):
    """The exchange was reached and gave no usable answer: 408, 5xx, timeout, cut off, not what it documents."""

    retryable = True


class Refused(ExchangeError):
    """The exchange does not want to hear from this address: 403, 418, 429, 451.

    `status` is the answer's status; requests held back because of an earlier refusal carry that one's.
    `retry_after_seconds` is when the next request may leave. Nothing is sent before.
    """

    def __init__(self, status: int, retry_after_seconds: float, message: str, action: str) -> None:
        super().__init__(message, action)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ExchangeError):
    """The exchange understood and said no: wrong symbol, interval, parameter or path.

    `code` is Binance's (-1121), or the HTTP status where the body names none; `reason` is its own text ("Invalid
    symbol.").
    """

    def __init__(self, code: int, message: str, action: str, reason: str = "") -> None:
        super().__init__(message, action)
        self.code = code
        self.reason = reason


class ShareTooSmall(ExchangeError):
    """One request weighs more than this process may spend in a whole minute."""
