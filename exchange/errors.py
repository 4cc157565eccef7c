"""Every way a request to the exchange can fail. Each error tells the operator what to do."""

from __future__ import annotations


class ExchangeError(Exception):
    """A request failed. `str()` is one line: what happened, then `action`.

    `action` is what the operator should do; `retryable` means that the same read may succeed later without that.
    """

    retryable = False

    def __init__(self, message: str, action: str) -> None:
        super().__init__(f"{message}: {action}")
        self.action = action


class Unreachable(ExchangeError):
    """No connection: DNS, routing, port or TLS."""

    retryable = True


class Untrusted(Unreachable):
    """A server responded with a certificate that no trusted authority signed."""

    retryable = False


class Unavailable(ExchangeError):
    """The exchange was reached but gave no usable response: 408, 5xx, timeout, cut off, not what it documents."""

    retryable = True


class Refused(ExchangeError):
    """The exchange refuses requests from this address: 403, 418, 429, 451.

    `status` is the response's status; requests held back because of an earlier refusal carry the status of that one.
    `retry_after_seconds` is how long to wait before the next request. Nothing is sent earlier.
    """

    def __init__(self, status: int, retry_after_seconds: float, message: str, action: str) -> None:
        super().__init__(message, action)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ExchangeError):
    """The exchange understood the request and rejected it: wrong symbol, interval, parameter or path.

    `code` is Binance's (-1121), or the HTTP status if the body has none; `reason` is its own text ("Invalid symbol.").
    """

    def __init__(self, code: int, message: str, action: str, reason: str = "") -> None:
        super().__init__(message, action)
        self.code = code
        self.reason = reason


class ShareTooSmall(ExchangeError):
    """One request weighs more than this process may spend in a whole minute."""
