"""The secrets of a lab as they are now, to look for them where none may be."""

from collections.abc import Iterable

from tests.lab.machine import Machine

CONSUMERS = 7
"""Two collectors with two tokens each; gateway, Grafana and sentinel with one."""


def secrets_of(store: Machine) -> list[str]:
    """The operator's token and every consumer's."""
    found = store.run("cat /etc/influxdb/operator.token /etc/influxdb/tokens/*.token").split()
    assert len(found) == len(set(found)) == 1 + CONSUMERS
    return found


def seen(secrets: Iterable[str], text: str) -> list[str]:
    """The beginnings of those that stand in a text."""
    return [secret[:4] for secret in secrets if secret in text]
