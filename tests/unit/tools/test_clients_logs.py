"""A bot's log, its configuration, and how a download is compared."""

import json
import re
from pathlib import Path

import pytest

from tools.clients import bot_log
from tools.clients.config import EXAMPLE, Address, base_config, bot_config
from tools.clients.downloads import Comparison, Downloaded, compare, newest_closed_ms, spans

ROOT = Path(__file__).resolve().parents[3]
LOG = """\
2026-11-22 21:22:01,124 - freqtrade.worker - INFO - Bot heartbeat. PID=1, version='2026.9', state='RUNNING'
2026-11-22 21:22:11,101 - freqtrade.exchange.common - WARNING - fetch_l2_order_book() returned exception: \
"Could not get order book". Retrying still for 3 times.
2026-11-22 21:22:12,599 - freqtrade.rpc.rpc_manager - INFO - Sending rpc message: {'trade_id': 1, 'type': entry_fill}
2026-11-22 21:22:13,124 - freqtrade.strategy.strategy_wrapper - ERROR - Unexpected error
Traceback (most recent call last):
"""


def test_everything_above_info_is_a_complaint_and_a_traceback_belongs_to_its_line() -> None:
    told = bot_log.complaints(LOG.splitlines())
    assert [line.split(" - ")[2] for line in told] == ["WARNING", "ERROR"]


def test_entries_are_the_orders_that_were_filled() -> None:
    assert bot_log.entries(LOG.splitlines()) == 1


def test_a_bot_has_the_documented_block_but_for_the_address_and_its_pairs(tmp_path: Path) -> None:
    documented = json.loads(EXAMPLE.read_text(encoding="utf-8"))["exchange"]
    config = bot_config(Address("http://127.0.0.1:1"), ["BTC/USDT:USDT"], name="bot-1", folder=tmp_path)
    given = config["exchange"]
    assert given["ccxt_config"]["urls"]["api"] == {"fapiPublic": "http://127.0.0.1:1/fapi/v1"}
    given["ccxt_config"]["urls"] = documented["ccxt_config"]["urls"]
    given["pair_whitelist"] = documented["pair_whitelist"]
    assert given == documented
    assert config["dry_run"] is True


def test_a_bot_that_asks_the_exchange_itself_keeps_the_throttle() -> None:
    exchange = base_config(Address("https://127.0.0.1:1", ca_file="ca.pem", throttled=True), [])["exchange"]
    assert "ccxt_async_config" not in exchange
    assert exchange["ccxt_config"]["cafile"] == "ca.pem"


def test_the_document_shows_the_example_s_exchange_block() -> None:
    text = (ROOT / "docs/freqtrade.md").read_text(encoding="utf-8")
    blocks = [json.loads("{" + block + "}") for block in re.findall(r'```json\n("exchange".*?)```', text, re.DOTALL)]
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))["exchange"]
    lines = {key: value for key, value in example.items() if not key.startswith("pair_")}
    assert {"exchange": lines} in blocks


def test_a_download_is_compared_row_by_row() -> None:
    comparison = Comparison()
    true = {0: [1.0], 180_000: [2.0], 360_000: [3.0], 540_000: [4.0]}
    compare(comparison, "BTC", {0: [1.0], 180_000: [2.5], 720_000: [9.0]}, true, newest_ms=360_000)
    assert (comparison.equal, comparison.wrong, comparison.missing, comparison.unknown) == (1, 1, 1, 1)
    assert not comparison.exact
    assert len(comparison.examples) == 3


def test_nothing_compared_is_not_exact() -> None:
    assert not Comparison().exact


def test_the_newest_candle_that_must_be_there_closed_a_minute_before() -> None:
    assert newest_closed_ms(180_000 * 10 + 59_000, 180_000) == 180_000 * 8
    assert newest_closed_ms(180_000 * 10 + 60_000, 180_000) == 180_000 * 9


def test_spans_cover_a_range_once() -> None:
    assert list(spans(0, 25, 10)) == [(0, 9), (10, 19), (20, 25)]


def test_a_file_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert Downloaded(tmp_path, 0, 0.0, []).rows("BTC/USDT:USDT", "3m", "futures") == {}


@pytest.mark.parametrize("name", ["witness.py"])
def test_the_strategies_are_where_the_configuration_says(name: str, tmp_path: Path) -> None:
    config = bot_config(Address("http://127.0.0.1:1"), [], name="bot-1", folder=tmp_path)
    assert (Path(config["strategy_path"]) / name).is_file()
