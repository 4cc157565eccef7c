"""What the lab's own Prometheus knows."""

import json

from tests.lab.machine import Machine
from tests.lab.told import ALWAYS

FIRING = f'ALERTS{{alertstate="firing", alertname!~"{"|".join(sorted(ALWAYS))}"}}'
"""What somebody is told of."""


def is_known(monitor: Machine, expression: str, expected: bool) -> bool:
    """Whether Prometheus has a result for the expression, or has none."""
    url = "http://127.0.0.1:9090/api/v1/query"
    answer = monitor.run(f"curl --silent --get {url} --data-urlencode query='{expression}'")
    return bool(json.loads(answer)["data"]["result"]) is expected
