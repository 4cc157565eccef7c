"""What verify.yml's modules have in common: a proof is {check, ok, detail}; the detail names what is wrong."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any

TIMEOUT_SECONDS = 10


class NoAnswer(Exception):
    """A server did not answer as it should. The text says which and how."""


def proof(check: str, wrong: Iterable[str], shown: int = 8) -> dict[str, Any]:
    """A check and what is wrong, of many things the first ones."""
    problems = list(wrong)
    more = [f"and {len(problems) - shown} more"] if len(problems) > shown else []
    return {"check": check, "ok": not problems, "detail": "; ".join(problems[:shown] + more)}


def request(
    url: str, *, token: str = "", body: str | None = None, kind: str = "application/json", ca_file: str | None = None
) -> tuple[int, bytes]:
    """Status and content of a GET, or of a POST if there is a body; an error status is an answer.

    ca_file is trusted besides the system's authorities.

    Raises:
        NoAnswer: there is none.
    """
    headers = {"Content-Type": kind, **({"Authorization": f"Token {token}"} if token else {})}
    asked = urllib.request.Request(url, None if body is None else body.encode(), headers)  # noqa: S310  http or https, from the inventory
    context = ssl.create_default_context()
    try:
        if ca_file:
            context.load_verify_locations(ca_file)
        # The servers are ours: no proxy from the environment.
        no_proxy, tls = urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(no_proxy, tls)
        with opener.open(asked, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise NoAnswer(f"{url.partition('?')[0]}: {getattr(error, 'reason', error)}") from error


def get(url: str, token: str = "", *, ca_file: str | None = None, **params: str) -> Any:
    """The JSON that a GET answers with. Raises NoAnswer, also for an error status."""
    address = f"{url}?{urllib.parse.urlencode(params)}" if params else url
    status, content = request(address, token=token, ca_file=ca_file)
    if status != 200:
        raise NoAnswer(f"{url}: {status} {content[:200].decode(errors='replace').strip()}")
    return json.loads(content)
