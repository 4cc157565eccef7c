"""The rules that Prometheus loads, as the tests read them."""

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent.parent.parent / "prometheus" / "rules"


def rules() -> list[dict[str, Any]]:
    """Every alerting and recording rule of prometheus/rules."""
    return [
        rule
        for file in sorted(FOLDER.glob("*.yml"))
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
