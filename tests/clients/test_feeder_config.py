"""The file that the role feeder adds to a bot's own: what freqtrade makes of both, by freqtrade's own rules."""

import json
import subprocess
from typing import Any

import pytest

from tests.support.feeder_files import render
from tools.clients import environment

OWN = """{ // as a consumer of producers had it
  "stake_currency": "USDT", "stake_amount": 50, "max_open_trades": 3, "dry_run": true,
  "stoploss": -0.1, "minimal_roi": {"0": 1},
  "trading_mode": "futures", "margin_mode": "isolated", "timeframe": "3m",
  "entry_pricing": {"price_side": "other", "use_order_book": true, "order_book_top": 1},
  "exit_pricing": {"price_side": "other", "use_order_book": true, "order_book_top": 1},
  "external_message_consumer": {"enabled": true,
    "producers": [{"name": "p", "host": "10.0.0.1", "port": 8080, "ws_token": "x"}]},
  "exchange": {"name": "binance", "key": "k", "secret": "s", "ccxt_async_config": {"enableRateLimit": true},
               "pair_whitelist": ["DOGE/USDT:USDT"]},
  "pairlists": [{"method": "StaticPairList"}]
}"""
VALIDATE = """
import json, sys
from freqtrade.configuration.config_validation import validate_config_consistency
from freqtrade.configuration.load_config import load_from_files
from freqtrade.enums import RunMode
config = load_from_files(sys.argv[1:]) | {"runmode": RunMode.DRY_RUN}
validate_config_consistency(config)
print(json.dumps({key: config[key] for key in ("exchange", "external_message_consumer")}))
"""


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Own configuration first, then the feeder's file, validated by freqtrade."""
    folder = tmp_path_factory.mktemp("feeder")
    render(folder)
    own = folder / "own.json"
    own.write_text(OWN, encoding="utf-8")
    command = [str(environment.python()), "-c", VALIDATE, str(own), str(folder / "feeder75/b.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return config


def test_a_bots_keys_stay_and_its_public_requests_go_to_the_gateway(merged: dict[str, Any]) -> None:
    exchange = merged["exchange"]
    assert (exchange["key"], exchange["secret"]) == ("k", "s")
    assert exchange["ccxt_config"]["urls"] == {"api": {"fapiPublic": "http://127.0.0.1:8090/bots/feeder75-b/fapi/v1"}}
    assert exchange["ccxt_async_config"]["enableRateLimit"] is False


def test_the_bots_part_of_the_pairs_replaces_its_own(merged: dict[str, Any]) -> None:
    pairs = merged["exchange"]["pair_whitelist"]
    assert (len(pairs), "DOGE/USDT:USDT" in pairs) == (37, False)


def test_it_asks_producers_no_more(merged: dict[str, Any]) -> None:
    consumer = merged["external_message_consumer"]
    assert (consumer["enabled"], consumer["producers"]) == (False, [])
