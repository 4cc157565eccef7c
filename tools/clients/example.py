"""Backtest and hyperopt of the FreqAI strategy in examples/: downloaded candles, funding from the store."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from tools.clients import bot_log
from tools.clients.config import ROOT
from tools.clients.downloads import DAY_MS, HOUR_MS, download, newest_closed_ms
from tools.clients.experiment import Experiment

DAYS = 8
TRAIN_DAYS = 4
TIMEFRAMES = ("3m", "15m", "1h")
# A small model on a few days: it only has to run and see the funding, not earn anything.
SMALL = {
    "freqai": {
        "identifier": "example",
        "train_period_days": TRAIN_DAYS,
        "backtest_period_days": 1,
        "model_training_parameters": {"n_estimators": 20},
    }
}


@dataclass(frozen=True)
class Backtested:
    """The names of the features a model was trained with; log lines above INFO."""

    features: list[str]
    complaints: list[str]


async def backtest(running: Experiment, pairs: list[str]) -> Backtested:
    """Download and backtest. Raises ChildDied if freqtrade fails."""
    folder = running.folder / "example"
    log = folder / "backtest.log"
    over = await _downloaded(running, pairs, folder)
    options = ("--export", "none", "--logfile", str(log))
    await running.children.run("backtest", [*_freqtrade(running, "backtesting"), *over, *options])
    return Backtested(_features(folder / "user_data/models/example"), bot_log.complaints(log.read_text().splitlines()))


async def hyperopt(running: Experiment, pairs: list[str], *, epochs: int, jobs: int) -> int:
    """Download, and optimize in this many processes, to which the strategy is pickled. Raises ChildDied if it fails.

    Returns the number of recorded epochs.
    """
    folder = running.folder / "example-hyperopt"
    over = await _downloaded(running, pairs, folder)
    options = (
        *("--hyperopt-loss", "SharpeHyperOptLoss", "--spaces", "stoploss", "--disable-param-export"),
        *("--epochs", str(epochs), "--job-workers", str(jobs), "--random-state", "1"),
    )
    await running.children.run("hyperopt", [*_freqtrade(running, "hyperopt"), *over, *options])
    (recorded,) = (folder / "user_data/hyperopt_results").glob("*.fthypt")
    return len(recorded.read_text(encoding="utf-8").splitlines())


async def _downloaded(running: Experiment, pairs: list[str], folder: Path) -> list[str]:
    """Download; return the options for configuration, strategy, data, and the last whole day."""
    downloaded = await download(
        running.children,
        running.interpreter,
        running.stack.served,
        pairs,
        folder,
        days=DAYS,
        timeframes=TIMEFRAMES,
    )
    configs = [folder / "config.json", ROOT / "examples/freqai.json", folder / "small.json"]
    configs[2].write_text(json.dumps(SMALL), encoding="utf-8")
    # freqtrade warns unless each file has the candle that opens at the end; the longest ones last an hour.
    end_ms = newest_closed_ms(downloaded.started_ms, HOUR_MS) // DAY_MS * DAY_MS
    return [
        *(word for config in configs for word in ("--config", str(config))),
        *("--strategy-path", str(ROOT / "examples"), "--data-format-ohlcv", "json"),
        *("--timerange", f"{_day(end_ms - DAY_MS)}-{_day(end_ms)}"),
    ]


def _freqtrade(running: Experiment, command: str) -> list[str]:
    """Return the command, with the store's address where the strategy expects it."""
    store = running.stack.store
    return [
        "env",
        f"MARKETDATA_URL={store.url}",
        f"MARKETDATA_TOKEN_FILE={store.token_file('reader', 'library')}",
        *(str(running.interpreter), "-m", "freqtrade", command),
    ]


def _features(models: Path) -> list[str]:
    for metadata in sorted(models.rglob("*_metadata.json")):
        features: list[str] = json.loads(metadata.read_text(encoding="utf-8"))["training_features_list"]
        return features
    return []


def _day(time_ms: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(time_ms / 1000))
