"""What the exchange's REST API can do to us while half of the closing frames are missing, so that it is needed."""

from tools.faults.actions import exchange, exchange_heals
from tools.faults.row import Row, Step, at, script

HALF_MISSING = exchange("missing_close", first=0, last=6)


def refused(status: int, *, retry_after_seconds: int | None = None, heals: float = 20) -> tuple[Step, ...]:
    """REST responds like this over a close."""
    fault = exchange("rest_status", status=status, retry_after_seconds=retry_after_seconds)
    return script(at(-20, HALF_MISSING, fault), at(heals, exchange_heals))


REST_ROWS = (
    Row("REST 403 HTML", refused(403), until_seconds=100, within_seconds=75),
    Row("REST 418 with Retry-After", refused(418, retry_after_seconds=30), until_seconds=90),
    Row("REST 429 with Retry-After", refused(429, retry_after_seconds=15), fast=True),
    Row("REST 503", refused(503)),
    Row("REST hangs", script(at(-20, HALF_MISSING, exchange("rest_hang")), at(20, exchange_heals))),
)
