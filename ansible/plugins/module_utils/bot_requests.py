"""What gateways have counted of one bot, read from their /metrics. Pure, but for whom it is given to ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

COUNTER = "marketdata_gateway_bot_requests_total"


class NotCounted(Exception):
    """A gateway does not count bots. The text says which."""


def counts(ask: Callable[[str], tuple[int, bytes]], urls: Sequence[str], bot: str) -> list[int]:
    """Requests of the bot by gateway; `ask` returns status and content of a URL.

    Raises:
        NotCounted: what answers is no gateway, or one from before it counted bots.
    """
    found = []
    for url in urls:
        status, content = ask(url)
        exposition = content.decode(errors="replace")
        if status != 200 or COUNTER not in exposition:
            raise NotCounted(f"{url}: {status}, and no {COUNTER}: roll the gateway first (playbooks/gateways.yml)")
        found.append(counted(exposition, bot))
    return found


def counted(exposition: str, bot: str) -> int:
    """Requests of the bot in the text of one /metrics; 0 before its first."""
    line = re.search(rf'^{COUNTER}{{bot="{re.escape(bot)}"}} (\S+)$', exposition, re.MULTILINE)
    return int(float(line[1])) if line else 0


def grown(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether a gateway has counted more since; one that was restarted meanwhile began at 0."""
    return any(later > (earlier if later >= earlier else 0) for earlier, later in zip(before, now, strict=True))
