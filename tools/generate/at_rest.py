"""A collector's pipeline of one store that nobody answers for: it is built, and nothing of it runs."""

from pathlib import Path
from typing import Any

import aiohttp

from collector.config import Config
from collector.model.clock import ExchangeClock
from collector.pipeline import Pipeline

NOWHERE = "http://127.0.0.1:1"
"""The parts exist and connect to nothing."""


def pipeline_at_rest(folder: Path, session: aiohttp.ClientSession, clock: ExchangeClock, **options: Any) -> Pipeline:
    """Return it, with its state in `folder`; the options are those of `Pipeline`."""
    files = {"ingest_token_file": folder / "ingest", "repair_token_file": folder / "repair"}
    config = Config.model_validate(
        {
            "collector": {"name": "collector-1", "state_dir": folder},
            "store": [{"name": "main", "url": NOWHERE, **files}],
        }
    )
    return Pipeline(config, session, clock, **options)
