"""How the gateway handles GET /stream: the documented lines, gaps, silence, other protocols."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exchange.clock import ExchangeClock
from gateway.commands import check
from gateway.config import Config
from gateway.intake import stream
from gateway.intake.stream import CollectorStream
from gateway.memory.memory import Memory
from gateway.memory.stream_lines import MalformedLine, PairTold, parse
from marketdata.schema import EXCHANGE
from tests.support import eventually_async, http_server

DOCUMENT = Path(__file__).parents[3] / "docs/stream.md"
EXAMPLES = re.findall(r"```json\n(\{.*?\})\n```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
OPEN_MS = 1_791_383_760_000


def line(kind: str, **values: Any) -> bytes:
    return json.dumps({"type": kind, **values}).encode() + b"\n"


HELLO = line("hello", protocol=1, collector="c", exchange=EXCHANGE, boot_id="b", exchange_time_ms=OPEN_MS)
PAIR = next(example for example in EXAMPLES if '"type":"pair"' in example).encode() + b"\n"
LIVE = line("live", seq=5, exchange_time_ms=OPEN_MS)


@asynccontextmanager
async def reading(*answers: list[bytes]) -> AsyncIterator[tuple[CollectorStream, Memory]]:
    """A collector that sends these responses one after the other, and goes silent after the last."""
    left = list(answers)

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for text in left.pop(0) if left else []:
            await response.write(text)
        if not left:
            await asyncio.Event().wait()
        return response

    memory = Memory(ExchangeClock())
    async with http_server(handle) as url, aiohttp.ClientSession() as session:
        reader = CollectorStream("c", url, memory, session, jitter=lambda: 0.0)
        task = asyncio.create_task(reader.run())
        try:
            yield reader, memory
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: json.loads(text)["type"])
def test_every_documented_line_is_read(example: str) -> None:
    told = parse(example.encode())
    assert told is not None
    assert told.__struct_config__.tag == json.loads(example)["type"]


def test_unknown_keys_and_types_are_ignored_and_wrong_lines_are_reported() -> None:
    assert parse(b'{"type":"weather","rain":true}') is None
    assert isinstance(parse(PAIR.replace(b'"seq"', b'"new_key":1,"seq"', 1)), PairTold)
    for wrong in (b"", b"{", b'{"seq":1}', b'{"type":"live","seq":"five"}'):
        with pytest.raises(MalformedLine):
            parse(wrong)


async def test_a_snapshot_fills_the_memory_wherever_the_chunks_are_cut() -> None:
    text = HELLO + PAIR + LIVE
    async with reading([text[:70], text[70:900], text[900:]]) as (reader, memory):
        await eventually_async(lambda: reader.live)
        state = memory.pair_state("BTCUSDT")
        assert state is not None
        assert state.next_open_ms == OPEN_MS
        assert memory.exchange_time_ms() >= OPEN_MS


async def test_after_a_gap_in_seq_everything_is_read_again() -> None:
    gap = line("left", seq=7, pair="ETH/USDT:USDT")
    async with reading([HELLO, PAIR, LIVE, gap], [HELLO, PAIR, LIVE]) as (reader, _):
        await eventually_async(lambda: reader.broken_total["gap"] == 1 and reader.live)


async def test_a_heartbeat_must_repeat_the_last_seq() -> None:
    good, wrong = (line("heartbeat", seq=seq, exchange_time_ms=OPEN_MS) for seq in (5, 6))
    async with reading([HELLO, PAIR, LIVE, good, wrong], [HELLO, PAIR, LIVE, good]) as (reader, _):
        await eventually_async(lambda: reader.broken_total["gap"] == 1 and reader.live)


async def test_silence_ends_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENCE_SECONDS", 0.2)
    async with reading([HELLO, PAIR, LIVE]) as (reader, memory):
        await eventually_async(lambda: reader.broken_total["silent"] >= 1)
        assert not reader.live
        assert memory.pair_state("BTCUSDT") is not None, "known data stays"


async def test_another_protocol_is_not_read() -> None:
    other = HELLO.replace(b'"protocol": 1', b'"protocol": 2')
    async with reading([other], [HELLO, LIVE]) as (reader, _):
        await eventually_async(lambda: reader.broken_total["protocol"] == 1 and reader.live)


async def test_a_collector_of_another_exchange_is_not_used() -> None:
    other = HELLO.replace(EXCHANGE.encode(), b"BYBIT")
    async with reading([other, PAIR, LIVE], [HELLO, LIVE]) as (reader, memory):
        await eventually_async(lambda: reader.live)
        assert reader.broken_total["exchange"] == 1
        assert memory.pair_state("BTCUSDT") is None, "nothing of the other exchange is served"


async def test_a_check_names_a_collector_of_another_exchange(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=HELLO.replace(EXCHANGE.encode(), b"BYBIT"))

    (tmp_path / "token").write_text("t", encoding="utf-8")
    async with http_server(handle) as url:
        # Store and exchange are this server, too: their problems do not matter here.
        config = Config.model_validate(
            {
                "gateway": {"name": "g", "state_dir": str(tmp_path)},
                "exchange": {"rest_url": url},
                "collector": [{"name": "c", "url": url}],
                "store": [{"name": "s", "url": url, "reader_token_file": str(tmp_path / "token")}],
            }
        )
        assert await check.run(config) == 2
    line = next(line for line in capsys.readouterr().err.splitlines() if "collector c" in line)
    assert "BYBIT" in line
    assert EXCHANGE in line


async def test_a_line_that_is_not_as_documented_ends_the_answer() -> None:
    async with reading([HELLO, b'{"type":"live"}\n'], [HELLO, LIVE]) as (reader, _):
        await eventually_async(lambda: reader.broken_total["malformed"] == 1 and reader.live)
