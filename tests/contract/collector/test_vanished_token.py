"""Every command waits for a token file that vanishes while it works."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from collector.__main__ import _parser
from collector.commands import audit_command, backfill_command
from collector.config import Config
from collector.store.query import StoreError, token_of
from tests.support import http_server
from tests.support.exchange_rows import symbol_row

MINUTE_MS = 60_000
CANDLE_MS = 3 * MINUTE_MS
NOW_MS = 1_790_000_640_000 // CANDLE_MS * CANDLE_MS + MINUTE_MS
FROM = "2026-09-21T00:00:00Z"
BACK_SECONDS = 0.3
"""How long the token is gone: it is back before the first retry, a second later."""


class Servers:
    """An exchange with one pair, and a store that is empty and accepts everything; ``on`` is called with each path."""

    def __init__(self) -> None:
        self.on: dict[str, Any] = {}
        self.written = 0

    async def handle(self, request: web.Request) -> web.Response:
        if act := self.on.pop(request.path, None):
            act()
        match request.path:
            case "/fapi/v1/time":
                return web.json_response({"serverTime": NOW_MS})
            case "/fapi/v1/exchangeInfo":
                return web.json_response({"symbols": [SYMBOL]})
            case "/fapi/v1/klines":
                length_ms = {"3m": CANDLE_MS, "15m": 5 * CANDLE_MS}.get(request.query["interval"], 0)
                if not length_ms:
                    return web.json_response([])
                start_ms = max(
                    int(request.query["startTime"]), SYMBOL["onboardDate"]
                )  # requested from 0: its first candle
                end_ms = int(request.query.get("endTime", NOW_MS))
                opens = range(-(-start_ms // length_ms) * length_ms, end_ms + 1, length_ms)
                return web.json_response([kline(open_ms, length_ms) for open_ms in opens[:20]])
            case "/api/v2/write":
                self.written += 1
                return web.Response(status=204)
            case "/api/v2/query":
                return web.Response(text="")
        return web.json_response({"results": [{"statement_id": 0}]})


def kline(open_ms: int, length_ms: int) -> list[object]:
    return [open_ms, "1.5", "1.5", "1.5", "1.5", "2", open_ms + length_ms - 1, "3", 1, "2", "3", "0"]


SYMBOL = symbol_row(NOW_MS // CANDLE_MS * CANDLE_MS - 10 * CANDLE_MS)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Servers, Config, Path]]:
    """The servers, a configuration of them, and the repair token's file."""
    servers = Servers()
    for kind in ("ingest", "repair"):
        (folder / kind).write_text("token\n", encoding="utf-8")
    (folder / "state").mkdir()
    async with http_server(servers.handle) as url:
        store = {"name": "main", "url": url}
        store |= {f"{kind}_token_file": str(folder / kind) for kind in ("ingest", "repair")}
        sections = {
            "collector": {"name": "collector-1", "state_dir": str(folder / "state")},
            "exchange": {"rest_url": url},
            "store": [store],
        }
        yield servers, Config.model_validate(sections), folder / "repair"


def vanish(token: Path) -> None:
    """Take the token away for a moment."""
    token.unlink()
    asyncio.get_running_loop().call_later(BACK_SECONDS, token.write_text, "token\n")


async def test_a_backfill_waits_for_a_token_that_vanished(tmp_path: Path) -> None:
    async with serving(tmp_path) as (servers, config, token):
        servers.on["/fapi/v1/klines"] = lambda: vanish(token)
        arguments = _parser().parse_args(["backfill", "--config", "x", "--from", FROM])
        assert await backfill_command.run(config, arguments) == 0
        assert not servers.on, "the token vanished on the way"


@pytest.mark.parametrize("fix", [[], ["--fix"]])
async def test_an_audit_waits_for_a_token_that_vanished(tmp_path: Path, fix: list[str]) -> None:
    async with serving(tmp_path) as (servers, config, token):
        servers.on["/api/v2/write" if fix else "/fapi/v1/klines"] = lambda: vanish(token)
        arguments = _parser().parse_args(["audit", "--config", "x", "--from", FROM, "--intervals", "3m,15m", *fix])
        assert await audit_command.run(config, arguments) == 1, "the store lacks what the exchange has"
        assert not servers.on, "the token vanished on the way"


@pytest.mark.parametrize(("content", "why"), [(b"\n", "empty"), (b"\xff", "not text"), (b"a\nb\n", "one line")])
def test_a_token_file_without_a_token_counts_as_a_store_that_does_not_respond(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(StoreError, match=re.escape(why)):
        token_of(tmp_path / "token")()
