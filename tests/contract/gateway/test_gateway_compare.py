"""`gateway compare` against local servers with equal and with different responses."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.commands import compare
from gateway.config import Config, load
from tests.support import http_server

NOW_MS = 1_791_383_675_683
STEP_MS = 180_000
OPEN_MS = NOW_MS // STEP_MS * STEP_MS
METRICS = """# TYPE marketdata_gateway_asked_weight_total counter
marketdata_gateway_asked_weight_total{route="/fapi/v1/klines"} 5000
# TYPE marketdata_gateway_exchange_weight_total counter
marketdata_gateway_exchange_weight_total{route="/fapi/v1/depth"} 50
"""


def rows() -> list[list[Any]]:
    prices, rest = ["1.0", "1.0", "1.0", "1.0"], ["5", 3, "1", "1", "0"]
    opens = range(OPEN_MS - 9 * STEP_MS, OPEN_MS, STEP_MS)
    return [[at, *prices, "5", at + STEP_MS - 1, *rest] for at in opens]


type Sides = tuple[Side, Side, Callable[[Path], Config]]


class Side:
    """Serves every route; `klines` and the status can be changed."""

    def __init__(self) -> None:
        self.klines = rows()
        self.status = 200

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/metrics":
            return web.Response(text=METRICS)
        answers: dict[str, Any] = {
            "time": {"serverTime": NOW_MS},
            "exchangeInfo": {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING"}]},
            "premiumIndex": [{"symbol": "BTCUSDT", "markPrice": "1.0", "time": NOW_MS}],
            "klines": self.klines,
            "markPriceKlines": [],
            "fundingRate": [{"symbol": "BTCUSDT", "fundingTime": OPEN_MS - 8 * 3_600_000, "fundingRate": "0.0001"}],
        }
        body = json.dumps(answers[request.path.rpartition("/")[2]])
        return web.Response(text=body, status=self.status, content_type="application/json")


@pytest.fixture
async def sides() -> AsyncIterator[Sides]:
    gateway, exchange = Side(), Side()
    async with http_server(gateway.handle) as ours, http_server(exchange.handle) as theirs:

        def config(folder: Path) -> Config:
            (folder / "reader.token").write_text("t", encoding="utf-8")
            (folder / "pairs.yml").write_text("pairs: [BTC/USDT:USDT]", encoding="utf-8")
            path = folder / "gateway.toml"
            path.write_text(
                f'[gateway]\nname = "one"\nstate_dir = "{folder}"\nlisten = "{ours.removeprefix("http://")}"\n'
                f'[exchange]\nrest_url = "{theirs}"\n'
                f'[[store]]\nname = "main"\nurl = "http://127.0.0.1:1"\nreader_token_file = "{folder}/reader.token"\n',
                encoding="utf-8",
            )
            return load(path)

        yield gateway, exchange, config


async def compared(sides: Sides, folder: Path) -> int:
    return await compare.run(sides[2](folder), folder / "pairs.yml")


async def test_equal_responses_end_with_0_and_the_weight_saved(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await compared(sides, tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("requested from it 5000, spent by it 50, 99.0 % saved")


async def test_a_wrong_candle_is_named_and_ends_with_1(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides[0].klines[3][4] = "1.1"
    assert await compared(sides, tmp_path) == 1
    assert f"BTCUSDT {OPEN_MS - 6 * STEP_MS}: close 1.1 is 1.0 there" in capsys.readouterr().out


async def test_a_missing_candle_ends_with_1(sides: Sides, tmp_path: Path) -> None:
    del sides[0].klines[3]
    assert await compared(sides, tmp_path) == 1


async def test_a_gateway_that_refuses_is_reported_and_ends_with_1(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides[0].status = 429
    assert await compared(sides, tmp_path) == 1
    assert "the gateway answered 429" in capsys.readouterr().out


async def test_an_exchange_that_refuses_ends_early_in_one_line(
    sides: Sides, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides[1].status = 400
    assert await compared(sides, tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1
