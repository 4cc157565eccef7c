"""The facts about one run of the demo: addresses and start times. Stored in .demo/run.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """Addresses, files and times (ms of the wall clock; 0: not yet). Has paths of secrets, never a secret.

    truth_url: where the simulator serves its candles to the check; the real exchange has nothing like it.
    """

    rest_url: str
    ca_file: str | None
    influx_url: str
    org: str
    reader_token_file: str
    collector_url: str
    prometheus_url: str | None
    provisioned_ms: int
    collector_started_ms: int
    pairs_known_ms: int = 0
    live_ms: int = 0
    filled_ms: int = 0
    truth_url: str | None = None
    alertmanager_url: str | None = None
    sentinel_url: str | None = None
    node_url: str | None = None
    blackbox_url: str | None = None
    gateway_url: str | None = None
    grafana_url: str | None = None
    grafana_password_file: str | None = None

    def save(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Read what `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
