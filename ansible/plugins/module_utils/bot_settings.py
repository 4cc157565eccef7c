"""What in a bot's configuration or environment would send requests for the gateway elsewhere. Pure."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

BLOCKS = ("ccxt_config", "ccxt_sync_config", "ccxt_async_config")
PREFIX = "FREQTRADE__"
"""Of environment variables: freqtrade takes their word over that of every file."""

LAST_WORD = (
    "EXCHANGE__NAME",
    "EXCHANGE__ONLY_FROM_CCXT",
    "EXCHANGE__PAIR_WHITELIST",
    "EXCHANGE__CCXT_CONFIG__URLS__API__FAPIPUBLIC",
    "EXCHANGE__CCXT_CONFIG__OPTIONS__FETCHMARKETS__TYPES",
    "EXCHANGE__CCXT_ASYNC_CONFIG__ENABLERATELIMIT",
    "EXTERNAL_MESSAGE_CONSUMER__ENABLED",
    "EXTERNAL_MESSAGE_CONSUMER__PRODUCERS",
)
"""What the role's file says, as such a variable would be called."""

PROXIES = ("all_proxy", "http_proxy", "https_proxy", "socks_proxy", "ws_proxy", "wss_proxy")

_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_COMMAS = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)


def parsed(text: str) -> dict[str, Any]:
    """A configuration as freqtrade reads it: JSON with comments and commas too many. Raises ValueError."""
    plain = _TOKENS.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    content = json.loads(_COMMAS.sub(lambda found: found[0] if found[0].startswith('"') else "", plain))
    if not isinstance(content, dict):
        raise ValueError("no object")  # noqa: TRY004  whoever asks wants one kind of error
    return content


def proxies_in_file(config: Mapping[str, Any], *, bypassed: bool) -> list[str]:
    """The settings of ccxt that lead requests to a proxy, by name and without their values (they may hold a password).

    bypassed: the environment's NO_PROXY names the gateway; then those that let the environment decide are harmless.
    """
    exchange = config.get("exchange")
    if not isinstance(exchange, dict):
        return []
    return [
        name
        for block in BLOCKS
        for name in _leading_away(exchange.get(block), f"exchange.{block}")
        if not (bypassed and _plain(name).endswith("trustenv"))
    ]


def proxies_in_environment(environment: Mapping[str, str], host: str) -> list[str]:
    """The variables that name a proxy for the gateway's host, or change what the role's file says; by name."""
    found = []
    for name, value in sorted(environment.items()):
        if name.startswith(PREFIX):
            path = name.removeprefix(PREFIX)
            by_proxy = any(f"__{block}__".upper() in path.upper() for block in BLOCKS) and _is_proxy(path)
            if (by_proxy and _is_set(value)) or path.upper() in LAST_WORD:
                found.append(name)
        elif name.lower() in PROXIES and value and not bypasses(environment, host):
            found.append(name)
    return found


def bypasses(environment: Mapping[str, str], host: str) -> bool:
    """Whether NO_PROXY names the host, as requests, aiohttp and urllib read it."""
    names = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return bool(names) and bool(urllib.request.proxy_bypass_environment(host, {"no": names}))


def host_of(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or ""


def _leading_away(value: Any, path: str) -> Iterator[str]:
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        name = f"{path}.{key}"
        if _is_proxy(key) and _is_set(inner):
            yield name
        else:
            yield from _leading_away(inner, name)


def _is_proxy(name: str) -> bool:
    return any(part in _plain(name) for part in ("proxy", "proxies", "trustenv"))


def _is_set(value: Any) -> bool:
    return str(value).lower() not in ("", "0", "none", "false", "f", "null", "{}", "[]")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
