"""Measures how long freqtrade takes to refresh the candles of many pairs. Runs in the clients' environment.

    python refresh_time.py CONFIG.json TIMES

CONFIG.json is a freqtrade configuration with a StaticPairList of full names. Prints one line of JSON: `pairs`, `rows`
(of all frames in the last refresh) and `seconds`, one number per refresh.
"""

import json
import sys
import time
from pathlib import Path

from freqtrade.configuration import Configuration
from freqtrade.enums import CandleType, RunMode
from freqtrade.resolvers import ExchangeResolver


def main(config_file: str, times: str) -> None:
    """Create freqtrade's own exchange class from the configuration and let it refresh."""
    named = json.loads(Path(config_file).read_text(encoding="utf-8"))
    config = Configuration({"config": [config_file]}, RunMode.DRY_RUN).get_config()
    exchange = ExchangeResolver.load_exchange(config, validate=False)
    pairs = [(pair, named["timeframe"], CandleType.FUTURES) for pair in named["exchange"]["pair_whitelist"]]
    seconds = []
    rows = 0
    for _ in range(int(times)):
        started = time.monotonic()
        frames = exchange.refresh_latest_ohlcv(pairs, cache=False)
        seconds.append(round(time.monotonic() - started, 3))
        rows = sum(len(frame) for frame in frames.values())
    print(json.dumps({"pairs": len(frames), "rows": rows, "seconds": seconds}))
    exchange.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
