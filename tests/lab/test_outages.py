"""A host goes away: one message tells of it, and no candle is lost."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import docker
import pytest

from tests.lab.audited import audit
from tests.lab.known import FIRING, is_known
from tests.lab.machine import Machine
from tests.lab.played import play
from tests.lab.told import Told, receiving
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

AWAY_SECONDS = 300
"""For so long InfluxDB's host is away."""

QUIET_SECONDS = 330
"""Longer than any rule waits before it tells that something does not answer."""


@pytest.fixture
def told(lab: Lab, machines: dict[str, Machine]) -> Iterator[Told]:
    """The platform's Alertmanager tells this test, from a moment on when there is nothing to tell."""
    eventually(partial(is_known, machines["monitor1"], FIRING, False), 1_200, what="no alert of what was before")
    # Else what a run before was told counts as told, for an hour.
    forget = "systemctl stop {0}; rm -f /var/lib/alertmanager/nflog; systemctl start {0}"
    machines["monitor1"].run(forget.format("prometheus-alertmanager.service"))
    with receiving(lab.control_address) as told:
        receiver = json.dumps({"alertmanager_webhook": {"url": told.url}})
        placed = play(lab, "site.yml", "--limit", "monitor1", "--tags", "alertmanager", "-e", receiver)
        assert placed, placed.output
        yield told
        removed = play(lab, "site.yml", "--limit", "monitor1", "--tags", "alertmanager")
        assert removed, removed.output


def test_a_collector_host_that_dies_is_one_message_and_no_candle(
    lab: Lab, machines: dict[str, Machine], told: Told
) -> None:
    began = datetime.now(UTC)
    host = docker.from_env().containers.get(lab.container("collector2"))
    host.kill()
    try:
        died = time.monotonic()
        eventually(lambda: told.firing(host="collector2"), 240, what="a message of the host")
        print(f"HostDown was told {time.monotonic() - died:.0f} s after the host died")
        eventually(lambda: time.monotonic() > died + QUIET_SECONDS, QUIET_SECONDS + 10, what="all that could tell more")
        assert told.firing() == ["HostDown"]
    finally:
        host.start()
    ready = "curl --silent --max-time 5 http://127.0.0.1:9108/readyz || true"
    eventually(lambda: machines["collector2"].run(ready) == "ready\n", 180, what="the collector ready again")
    audit(machines["collector2"], began)


def test_a_store_whose_host_is_away_for_minutes_has_every_candle_after_it(
    lab: Lab, machines: dict[str, Machine]
) -> None:
    began = datetime.now(UTC)
    host = docker.from_env().containers.get(lab.container("influx1"))
    host.stop()
    try:
        stopped = time.monotonic()
        eventually(lambda: time.monotonic() > stopped + AWAY_SECONDS, AWAY_SECONDS + 10, what="the outage")
    finally:
        host.start()

    for name in ("collector1", "collector2"):
        eventually(partial(is_drained, machines[name]), 180, what=f"the spool of {name} drained")
    audit(machines["collector1"], began)
    eventually(lambda: bool(play(lab, "verify.yml")), 900, what="verify.yml without a fault")


def is_drained(collector: Machine) -> bool:
    """Whether nothing of the outage is in the spool any more."""
    return collector.run("find /var/lib/marketdata-collector/spool -name '*.lp.gz' -mmin +1") == ""
