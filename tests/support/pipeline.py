"""A pipeline of one store that nobody answers for: it is built, and nothing of it runs."""

from collections.abc import Callable
from pathlib import Path

import aiohttp

from collector.config import Config
from collector.model.clock import ExchangeClock
from collector.pipeline import Pipeline

NOWHERE = "http://127.0.0.1:1"


def pipeline_at_rest(
    folder: Path, session: aiohttp.ClientSession, clock: ExchangeClock, wall_seconds: Callable[[], float]
) -> Pipeline:
    config = Config.model_validate(
        {
            "collector": {"name": "collector-1", "state_dir": folder},
            "store": [
                {
                    "name": "main",
                    "url": NOWHERE,
                    "org": "marketdata",
                    "ingest_token_file": folder / "ingest",
                    "repair_token_file": folder / "repair",
                }
            ],
        }
    )
    return Pipeline(config, session, clock, wall_seconds=wall_seconds)
