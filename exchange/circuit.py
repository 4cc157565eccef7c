"""The ban circuit: after 403, 418, 429 or 451 nothing leaves until the time is up, then one request tries alone.

Binance answers 429 over the limit, 418 to those who go on (a ban of 2 minutes to 3 days, longer each time), its WAF 403
("General Info", HTTP Return Codes and IP Limits); each request sent meanwhile makes it worse. Pure: no I/O, no sleep.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from exchange.limits import Refusal

#: Seconds to stay away when the answer names no time; doubled while probes are refused, up to the longest.
DEFAULT_SECONDS = {403: 60.0, 418: 120.0, 429: 60.0, 451: 300.0}
LONGEST_DEFAULT_SECONDS = 1800.0
#: Binance's longest ban is 3 days; a time beyond it is not believed.
LONGEST_BAN_SECONDS = 3 * 86_400.0
#: After a probe that got no answer at all.
INCONCLUSIVE_SECONDS = 5.0


class CircuitState(StrEnum):
    """Closed: requests flow. Open: none leaves. Half-open: the time is up, one at a time until one is answered."""

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
        """Whether the one request of the half-open state is on its way."""
        return self._probing

    def wait_ms(self) -> int:
        """Return how long until a request may leave, as far as the circuit is concerned."""
        return 0 if self._status is None else max(0, self._until_ms - self._clock())

    def begin_probe(self) -> None:
        """Half-open only: the caller sends one request, and reports its end by `refused`, `answered` or `lost`."""
        self._probing = True

    def refused(self, refusal: Refusal, *, probe: bool) -> None:
        """A request was refused. Those that were on their way when the circuit opened only lengthen the wait."""
        if self._status is None:
            self.opened_total += 1
        elif probe:
            self._refused_probes += 1
        if probe:
            self._probing = False
        self._status = refusal.status
        self._until_ms = max(self._until_ms, self._clock() + round(1000 * self._seconds(refusal)))

    def answered(self, *, probe: bool) -> None:
        """A request was answered. Only the probe's answer is news; it closes the circuit."""
        if probe:
            self._status = None
            self._refused_probes = 0
            self._probing = False

    def lost(self, *, probe: bool) -> None:
        """A request got no answer. A probe is then repeated, after a moment."""
        if probe:
            self._probing = False
            self._until_ms = self._clock() + round(1000 * INCONCLUSIVE_SECONDS)

    def cancel_probe(self) -> None:
        """The probe was not sent; another may go."""
        self._probing = False

    def _seconds(self, refusal: Refusal) -> float:
        if refusal.seconds is not None:
            # "Retry-After: 0" and a ban that has just ended are still no invitation to go on at full speed.
            return min(max(refusal.seconds, 1.0), LONGEST_BAN_SECONDS)
        return min(DEFAULT_SECONDS[refusal.status] * 2.0 ** min(self._refused_probes, 8), LONGEST_DEFAULT_SECONDS)
