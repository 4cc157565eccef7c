"""freqtrade's configuration for the bots: examples/config.json with another address. Pure except for reading it."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/config.json"
STRATEGIES = Path(__file__).with_name("strategies")

type Config = dict[str, Any]

STATIC: tuple[Config, ...] = ({"method": "StaticPairList"},)


@dataclass(frozen=True)
class Address:
    """The address that bots use: a gateway, or the simulator itself, with the CA to trust."""

    url: str
    ca_file: str | None = None
    throttled: bool = False
    """Keep ccxt's own throttle on, as in a bot that uses the exchange directly."""


def base_config(address: Address, pairs: Sequence[str]) -> Config:
    """Return the example with another address and other pairs; the rest of its exchange block is as documented."""
    config: Config = copy.deepcopy(json.loads(EXAMPLE.read_text(encoding="utf-8")))
    exchange = config["exchange"]
    exchange["ccxt_config"]["urls"]["api"]["fapiPublic"] = f"{address.url}/fapi/v1"
    if address.ca_file is not None:
        exchange["ccxt_config"] |= {"verify": address.ca_file, "validateServerSsl": address.ca_file}
        exchange["ccxt_config"]["cafile"] = address.ca_file
    if address.throttled:
        del exchange["ccxt_async_config"]
    exchange["pair_whitelist"] = list(pairs)
    return config


def healthy_pairlists(address: Address, pairs: int) -> tuple[Config, ...]:
    """The busiest pairs, and of these the healthy ones: from the gateway's tickers and its pair list."""
    return (
        {"method": "VolumePairList", "number_assets": pairs, "sort_key": "quoteVolume", "refresh_period": 600},
        {"method": "RemotePairList", "pairlist_url": f"{address.url}/pairlist", "refresh_period": 60},
    )


def bot_config(
    address: Address,
    pairs: Sequence[str],
    *,
    name: str,
    folder: Path,
    timeframes: Sequence[str] = (),
    startup_candles: int = 400,
    pairlists: Sequence[Config] = STATIC,
) -> Config:
    """Return the configuration of a dry-run bot with the witness strategy; it writes everything to `folder`."""
    return base_config(address, pairs) | {
        "bot_name": name,
        "strategy": "Witness",
        "strategy_path": str(STRATEGIES),
        "startup_candle_count": startup_candles,
        "pairlists": list(pairlists),
        "user_data_dir": str(folder / "user_data"),
        "db_url": f"sqlite:///{folder / 'trades.sqlite'}",
        "witness": {"file": str(folder / "witness.ndjson"), "timeframes": list(timeframes)},
    }
