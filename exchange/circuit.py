"""The ban circuit: after 403, 418, 429 or 451 nothing is sent until the wait is over, then a single request probes.

Binance returns 429 over the limit and 418 to those who continue (a ban of 2 minutes to 3 days, longer each time); its
WAF returns 403 ("General Info", HTTP Return Codes and IP Limits). Each request sent meanwhile makes it worse. Pure: no
I/O, no sleep.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from exchange.limits import Refusal

#: How long to stay away, in seconds, if the response names no time; doubled while probes are refused, up to a limit.
DEFAULT_SECONDS = {403: 60.0, 418: 120.0, 429: 60.0, 451: 300.0}
LONGEST_DEFAULT_SECONDS = 1800.0
#: Binance's longest ban is 3 days; a longer one is not believed.
LONGEST_BAN_SECONDS = 3 * 86_400.0
#: How long to wait after a probe without any response.
INCONCLUSIVE_SECONDS = 5.0


class CircuitState(StrEnum):
    """Closed: requests are sent. Open: none is. Half-open: the wait is over; one at a time until one is answered."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Circuit:
    """One IP's standing with the exchange. `clock` is monotonic, in milliseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._status: int | None = None
        self._until_ms = 0
        self._refused_probes = 0
        self._probing = False
        self.opened_total = 0

    @property
    def state(self) -> CircuitState:
        if self._status is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if self._clock() < self._until_ms else CircuitState.HALF_OPEN

    @property
    def status(self) -> int | None:
        """The HTTP status that opened the circuit, None while it is closed."""
        return self._status

    @property
    def probing(self) -> bool:
        """Whether the single request of the half-open state is in flight."""
        return self._probing

    def wait_ms(self) -> int:
        """Return how long until the circuit lets a request through."""
        return 0 if self._status is None else max(0, self._until_ms - self._clock())

    def begin_probe(self) -> None:
        """Half-open only: the caller sends one request and reports its end with `refused`, `answered` or `lost`."""
        self._probing = True

    def refused(self, refusal: Refusal, *, probe: bool) -> None:
        """Record a refusal. Requests that were in flight when the circuit opened only lengthen the wait."""
        if self._status is None:
            self.opened_total += 1
        elif probe:
            self._refused_probes += 1
        if probe:
            self._probing = False
        self._status = refusal.status
        self._until_ms = max(self._until_ms, self._clock() + round(1000 * self._seconds(refusal)))

    def answered(self, *, probe: bool) -> None:
        """Record a response. Only the probe's matters: it closes the circuit."""
        if probe:
            self._status = None
            self._refused_probes = 0
            self._probing = False

    def lost(self, *, probe: bool) -> None:
        """Record that a request got no response. A probe is repeated after a moment."""
        if probe:
            self._probing = False
            self._until_ms = self._clock() + round(1000 * INCONCLUSIVE_SECONDS)

    def cancel_probe(self) -> None:
        """Record that the probe was not sent; another one may be."""
        self._probing = False

    def _seconds(self, refusal: Refusal) -> float:
        if refusal.seconds is not None:
            # "Retry-After: 0" and a ban that has just ended are still no reason to continue at full speed.
            return min(max(refusal.seconds, 1.0), LONGEST_BAN_SECONDS)
        return min(DEFAULT_SECONDS[refusal.status] * 2.0 ** min(self._refused_probes, 8), LONGEST_DEFAULT_SECONDS)
