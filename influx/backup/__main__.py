"""Backups of this host's InfluxDB: `python3 -m influx.backup create|list|verify|restore|test`.

Exit codes: 0 done, 1 failed or differences found, 2 invalid arguments.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from . import folder, metrics
from .create import create
from .errors import BackupError
from .restore import differences, report, restore
from .scratch import scratch
from .server import Server


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except BackupError as error:
        print(f"backup: {error}", file=sys.stderr)
        return 1
    return code


def _create(arguments: argparse.Namespace) -> int:
    made, manifest = create(
        _server(arguments),
        arguments.folder,
        keep=arguments.keep,
        checksum_days=arguments.checksum_days,
        now=datetime.now(UTC),
        say=print,
    )
    if arguments.metrics:
        _write(arguments.metrics, metrics.text(manifest))
    print(f"{made}: {sum(size for size, _ in manifest.files.values())} bytes in {len(manifest.files)} shards, verified")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    for backup in folder.complete(arguments.folder):
        manifest = folder.read(backup)
        print(f"{backup.name} {sum(size for size, _ in manifest.files.values())} bytes")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    backup = _backup(arguments)
    manifest = folder.read(backup)
    if found := list(folder.faults(backup, manifest)):
        raise BackupError("; ".join(found))
    return _show(report(manifest, []))


def _restore(arguments: argparse.Namespace) -> int:
    backup = _backup(arguments)
    manifest = folder.read(backup)
    server = _server(arguments)
    restore(server, backup, manifest)
    return _show(report(manifest, differences(server, manifest, datetime.now(UTC))))


def _test(arguments: argparse.Namespace) -> int:
    backup = _backup(arguments)
    manifest = folder.read(backup)
    with scratch(arguments.influxd, arguments.work, arguments.user) as server:
        restore(server, backup, manifest)
        return _show(report(manifest, differences(server, manifest, datetime.now(UTC))))


def _show(told: dict[str, object]) -> int:
    print(json.dumps(told, indent=1))
    return 1 if told["differences"] else 0


def _backup(arguments: argparse.Namespace) -> Path:
    """Return the backup named on the command line, or the newest."""
    if arguments.backup:
        return Path(arguments.folder / arguments.backup)
    found = folder.complete(arguments.folder)
    if not found:
        raise BackupError(f"{arguments.folder}: there is no backup")
    return found[-1]


def _server(arguments: argparse.Namespace) -> Server:
    try:
        token = arguments.token_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise BackupError(f"{arguments.token_file}: cannot read the operator's token: {error}") from error
    return Server(arguments.url, token, ca_file=arguments.ca_file)


def _write(file: Path, text: str) -> None:
    """Write atomically, so that readers never see a partial file."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="influx.backup", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--folder", type=Path, required=True, help="folder of the backups")
    server = argparse.ArgumentParser(add_help=False)
    server.add_argument("--url", required=True, help="http[s]://host:port of the server")
    server.add_argument("--ca-file", type=Path, help="CA certificate (PEM) to trust in addition to the system's")
    server.add_argument("--token-file", type=Path, required=True, help="file with the operator's token")
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--backup", help="name of a backup; default: the newest")

    made = commands.add_parser("create", parents=[common, server], help="create and verify a backup, remove old ones")
    made.add_argument("--keep", type=_positive, required=True, help="how many backups to keep")
    made.add_argument("--checksum-days", type=_positive, default=3, help="days to compare by row, not only by count")
    made.add_argument("--metrics", type=Path, help="file in node_exporter's textfile folder")
    made.set_defaults(run=_create)

    listed = commands.add_parser("list", parents=[common], help="list the backups")
    listed.set_defaults(run=_list)

    verified = commands.add_parser("verify", parents=[common, chosen], help="read every file of a backup")
    verified.set_defaults(run=_verify)

    restored = commands.add_parser("restore", parents=[common, server, chosen], help="restore to an empty server")
    restored.set_defaults(run=_restore)

    tested = commands.add_parser("test", parents=[common, chosen], help="restore to a temporary influxd and compare")
    tested.add_argument("--influxd", type=Path, required=True, help="the influxd executable")
    tested.add_argument("--work", type=Path, required=True, help="folder with enough space for the data")
    tested.add_argument("--user", help="user that runs influxd")
    tested.set_defaults(run=_test)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
