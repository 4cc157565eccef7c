"""None of our programs uses a proxy of the environment: every way to connect disables it, or does so by default."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.repository.test_repository import ROOT, imports, tracked_and_new

DOWNLOADS = {"tools/bootstrap/vendor.py"}
"""Set-up downloads from the internet like pip, uv and apt: through the proxy of whoever runs it."""

FORBIDDEN = {"urlopen", "urlretrieve"}
"""urllib's calls that use the proxies of the environment; `build_opener(ProxyHandler({}))` does not."""


def takes_the_environments_proxy(call: ast.Call, module_names: dict[str, str]) -> bool:
    """Whether a call opens connections through a proxy named in the environment."""
    root, dot, rest = ast.unparse(call.func).partition(".")
    full = module_names.get(root, "") + dot + rest
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if full.split(".")[-1] in FORBIDDEN or full.startswith("requests."):
        return True
    if full.split(".")[-1] == "build_opener":
        return not any(
            "ProxyHandler({})" in argument or argument == "no_proxy" for argument in map(ast.unparse, call.args)
        )
    if full in {"httpx.Client", "httpx.AsyncClient", "httpx.get", "httpx.post"}:
        return keywords.get("trust_env") != "False"
    if full.startswith("websockets.") and full.endswith(".connect"):
        return "proxy" not in keywords and None not in keywords  # **options: those of `exchange.binance.feed`
    return keywords.get("trust_env") == "True"


def names_of(tree: ast.Module) -> dict[str, str]:
    """What the names imported by a module refer to."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.name.split(".")[0] for alias in node.names}
    return names


def offenders(source: str) -> list[int]:
    """Lines of a module with calls that would use a proxy of the environment."""
    tree = ast.parse(source)
    names = names_of(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(call.lineno for call in calls if takes_the_environments_proxy(call, names))


def test_no_module_opens_a_connection_through_a_proxy_of_the_environment() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in tracked_and_new("*.py")
        if "tests" not in file.relative_to(ROOT).parts and str(file.relative_to(ROOT)) not in DOWNLOADS
        for line in offenders(file.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import urllib.request\nurllib.request.urlopen(url)",
        "from urllib.request import build_opener\nbuild_opener(HTTPSHandler())",
        "import httpx\nhttpx.Client(timeout=5)",
        "import requests\nrequests.get(url)",
        "import aiohttp\naiohttp.ClientSession(trust_env=True)",
        "from websockets.asyncio.client import connect\nconnect(url, ssl=context)",
    ],
)
def test_every_way_to_use_a_proxy_of_the_environment_is_detected(source: str) -> None:
    assert offenders(source) == [2]


def tasks(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a file with tasks or plays."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from tasks(child)


def test_plays_reach_our_servers_without_a_proxy_of_the_environment() -> None:
    files = [file for file in tracked_and_new("ansible/**.yml") if "builtin.uri:" in file.read_text(encoding="utf-8")]
    through = [
        f"{file.relative_to(ROOT)}: {task.get('name')}"
        for file in files
        for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8")))
        if "ansible.builtin.uri" in task and task["ansible.builtin.uri"].get("use_proxy") is not False
    ]
    assert files
    assert through == []


def test_ansible_modules_do_not_use_the_helper_that_takes_proxies() -> None:
    helpers = {"fetch_url", "open_url"}
    files: list[Path] = tracked_and_new("ansible/plugins/**.py")
    assert [file for file in files for _, name in imports(file) if name.split(".")[-1] in helpers] == []


CALLS = {"ADAPTERS[exchange.id].client", "BinanceClient", "Feeds", "connect"}
"""How a service connects to an exchange."""


def test_every_service_uses_the_configured_proxy_for_the_exchange() -> None:
    calls = [
        (f"{file.relative_to(ROOT)}:{node.lineno}", {keyword.arg for keyword in node.keywords})
        for folder in ("collector", "gateway")
        for file in tracked_and_new(f"{folder}/**.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS
    ]
    assert len(calls) >= 6
    assert [where for where, keywords in calls if not keywords & {"proxy", None}] == []
