"""`influx-reconcile`: make an InfluxDB 2 match schema.yml and the task files.

Prints one line per change. Exit codes: 0 done, 1 failed, 2 invalid input.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from influx.provisioning import SCHEMA_FILE, Provisioned, provision
from influx.reconcile import InvalidInput, ReconcileError
from influx.scripts import TASKS_DIR


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        done = provision(
            args.url,
            args.secrets_dir,
            schema_file=args.schema,
            tasks_dir=args.tasks_dir,
            operator_token_file=args.operator_token_file,
            ca_file=args.ca_file,
            allow_destructive=args.allow_destructive,
            check=args.check,
        )
    except ReconcileError as error:
        print(f"influx-reconcile: {error}", file=sys.stderr)
        return 2 if isinstance(error, InvalidInput) else 1
    _show(done, check=args.check)
    return 0


def _show(done: Provisioned, *, check: bool) -> None:
    for line in done.changes:
        print(line)
    for report in done.reports:
        print(f"note: {report}")
    if not done.changes:
        print("nothing to change")
    elif check:
        print("nothing was changed: --check")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="influx-reconcile", description="Make an InfluxDB 2 match schema.yml and the task files."
    )
    parser.add_argument("--url", required=True, help="http[s]://host:port of the server")
    parser.add_argument("--ca-file", type=Path, help="CA certificate (PEM) to trust in addition to the system's")
    parser.add_argument(
        "--secrets-dir", type=Path, required=True, help="folder of the token files <kind>-<consumer>.token"
    )
    parser.add_argument("--operator-token-file", type=Path, help="default: operator.token in the secrets folder")
    parser.add_argument("--schema", type=Path, default=SCHEMA_FILE, help="default: the schema.yml of this program")
    parser.add_argument("--tasks-dir", type=Path, default=TASKS_DIR, help="default: the tasks of this program")
    parser.add_argument("--check", action="store_true", help="print what would change, change nothing")
    parser.add_argument(
        "--allow-destructive",
        action="append",
        default=[],
        metavar="BUCKET",
        help="bucket that may be deleted or lose data to a shorter retention",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
