"""Counts what a server holds, so that a restored server can be compared with it.

For each day of a measurement this is the number of values (points times fields) and, for the newest days, the SHA-256
of the rows. Only points older than a cutoff are counted, because newer ones may still change.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .server import Server

FIRST_DAY = datetime(2019, 1, 1, tzinfo=UTC)  # we have no older points (marketdata.serializer)
Census = dict[str, dict[str, dict[str, list[Any]]]]
"""bucket -> measurement -> day (2026-01-31) -> [values, checksum or None]"""


def take(server: Server, buckets: list[str], cutoff: datetime, checksum_days: int) -> Census:
    """Count every day, and checksum the newest ones."""
    checksums_from = cutoff - timedelta(days=checksum_days)
    census: Census = {}
    for bucket in buckets:
        census[bucket] = {}
        for measurement in measurements(server, bucket):
            days = dict(_counts(server, bucket, measurement, cutoff))
            census[bucket][measurement] = {
                day.strftime("%Y-%m-%d"): [
                    values,
                    _checksum(server, bucket, measurement, day, cutoff) if day >= checksums_from else None,
                ]
                for day, values in days.items()
            }
    return census


def agreed(before: Census, after: Census) -> Census:
    """Return the days that are the same in both."""
    return {
        bucket: {
            name: {day: told for day, told in days.items() if after.get(bucket, {}).get(name, {}).get(day) == told}
            for name, days in measured.items()
        }
        for bucket, measured in before.items()
    }


def differences(wanted: Census, server: Server, cutoff: datetime, kept_from: Mapping[str, datetime]) -> Iterator[str]:
    """Yield a line for each day on which the server's content differs from the census.

    Days before `kept_from` of a bucket are skipped, because retention deletes their points.
    """
    for bucket, measured in wanted.items():
        for name, days in measured.items():
            due = {day: told for day, told in days.items() if _start(day) >= kept_from.get(bucket, FIRST_DAY)}
            counted = dict(_counts(server, bucket, name, cutoff)) if due else {}
            for day, (values, checksum) in due.items():
                held = counted.get(_start(day), 0)
                if held != values:
                    yield f"{bucket} {name} {day}: {held} values, the backup has {values}"
                elif checksum and _checksum(server, bucket, name, _start(day), cutoff) != checksum:
                    yield f"{bucket} {name} {day}: as many values, but not the same ones"


def total(census: Census, bucket: str) -> int:
    """Return the number of values in a bucket."""
    return sum(values for days in census[bucket].values() for values, _ in days.values())


def measurements(server: Server, bucket: str) -> list[str]:
    return [name for series in server.query(bucket, "SHOW MEASUREMENTS") for (name,) in series["values"]]


def _counts(server: Server, bucket: str, measurement: str, cutoff: datetime) -> Iterator[tuple[datetime, int]]:
    statement = f'SELECT count(*) FROM "{measurement}" WHERE {_between(FIRST_DAY, cutoff)} GROUP BY time(1d) fill(none)'
    for series in server.query(bucket, statement):
        for start_ms, *counts in series["values"]:
            values = sum(count or 0 for count in counts)
            if values:
                yield datetime.fromtimestamp(start_ms / 1000, UTC), values


def _checksum(server: Server, bucket: str, measurement: str, day: datetime, cutoff: datetime) -> str:
    until = min(day + timedelta(days=1), cutoff)
    digest = hashlib.sha256()
    for row in server.rows(bucket, f'SELECT * FROM "{measurement}" WHERE {_between(day, until)} GROUP BY *'):
        digest.update(row)
    return digest.hexdigest()


def _between(start: datetime, end: datetime) -> str:
    return f"time >= {start.timestamp() * 1000:.0f}ms AND time < {end.timestamp() * 1000:.0f}ms"


def _start(day: str) -> datetime:
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
