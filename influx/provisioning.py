"""Provisions a server from schema.yml and the task files, for the command, the demo and the tests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from influx.reconcile import Desired, InvalidInput, parse, reconcile, with_consumers
from influx.scripts import TASKS_DIR

SCHEMA_FILE = Path(__file__).parent / "schema.yml"

Consumers = Mapping[str, Iterable[str]]
"""Names of consumers by token kind, e.g. {"ingest": ["collector-1", "collector-2"]}."""


@dataclass(frozen=True)
class Provisioned:
    """A server that matches the schema. changes and reports are lines for humans and contain no secrets."""

    url: str
    org: str
    secrets_dir: Path
    operator_token_file: Path
    changes: tuple[str, ...]
    reports: tuple[str, ...]

    def token_file(self, kind: str, consumer: str) -> Path:
        return self.secrets_dir / f"{kind}-{consumer}.token"


def provision(
    url: str,
    secrets_dir: Path,
    *,
    consumers: Consumers | None = None,
    schema_file: Path = SCHEMA_FILE,
    tasks_dir: Path = TASKS_DIR,
    operator_token_file: Path | None = None,
    ca_file: Path | None = None,
    allow_destructive: Iterable[str] = (),
    check: bool = False,
) -> Provisioned:
    """Make the InfluxDB at url match the schema; a second call changes nothing.

    consumers replaces the schema's consumers for the token kinds it names. allow_destructive names the buckets that may
    be deleted or may lose data to a shorter retention. With check, nothing is changed, and changes lists what would be
    done. Raises influx.reconcile.ReconcileError with a one-line message that says what to do.
    """
    operator_token_file = operator_token_file or secrets_dir / "operator.token"
    desired = load(schema_file, tasks_dir, consumers=consumers, allow_destructive=allow_destructive)
    result = reconcile(url, desired, secrets_dir, operator_token_file=operator_token_file, ca_file=ca_file, check=check)
    return Provisioned(url, desired.org, secrets_dir, operator_token_file, result.lines, result.reports)


def load(
    schema_file: Path = SCHEMA_FILE,
    tasks_dir: Path = TASKS_DIR,
    *,
    consumers: Consumers | None = None,
    allow_destructive: Iterable[str] = (),
) -> Desired:
    """Load the desired state from the files. Raises InvalidInput with the file, key, value and what is allowed."""
    try:
        schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
        scripts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(tasks_dir.glob("*.flux"))}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"{schema_file}: cannot be read: {' '.join(str(error).split())}") from error
    source = str(schema_file)
    desired = parse(schema, scripts, source=source, allow_destructive=allow_destructive)
    if consumers is None:
        return desired
    return parse(with_consumers(schema, consumers), scripts, source=source, allow_destructive=allow_destructive)
