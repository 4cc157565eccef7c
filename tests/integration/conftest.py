"""Real servers for the integration tests. A machine without a Docker engine fails them; `make test` installs one.

influx            session   InfluxStack: reconciled with influx/schema.yml; shared, so do not stop or empty it
fresh_influx      function  the same on a server of its own, for tests that stop it or need it empty
second_influx     function  one more, with the same tokens
influxd           session   InfluxServer under `influx`
blank_influxd     function  InfluxServer that nobody has set up (influxdb_url: its address)
simulator         function  Simulator with 8 pairs
start_simulator   function  the same with arguments of your choice
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from influx.provisioning import provision
from tests.integration.browser import chromium
from tests.integration.servers import InfluxServer, InfluxStack, Simulator, influx_server, simulator_process
from tools.bootstrap import engine, images, programs

GRAFANA_MISSING = [
    name for name, there in (("Grafana", programs.find("grafana")), ("Chromium", chromium())) if there is None
]

LONGEST = (
    "test_dashboard_queries",
    "test_alerts_live",
    "test_universe_changes",
    "test_collector",
    "test_demo",
    "test_demo_monitoring",
    "test_gateway_outages",
    "test_funding",
    "test_planned_replacement",
    "test_stream_truth",
    "test_audit",
    "test_gateway_hours",
    "test_backfill",
    "test_gateway_conformance",
    "test_ledger_repair",
    "test_sweep",
    "test_sentinel",
)
SHARING = ("test_gateway_conformance", "test_reader", "test_reconcile")
"""Modules with a server, or with much data in one, for all of their tests."""


def pytest_report_header() -> list[str]:
    """One line about what is left out."""
    return [f"without {' and '.join(GRAFANA_MISSING)}: tests of Grafana are deselected"] if GRAFANA_MISSING else []


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that share a server of their module stay on one worker (`--dist loadgroup`)."""
    if item.path.stem in SHARING:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest first, so that no worker ends with one."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))
    _leave_out_grafana(config, items)


def _leave_out_grafana(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of Grafana need a Grafana that nobody can be asked to have."""
    if GRAFANA_MISSING:
        left_out = [item for item in items if item.get_closest_marker("grafana")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def influxdb_image() -> str:
    if engine.answering() is None:
        pytest.fail("no Docker engine answers: `make test` installs or starts one, or says how", pytrace=False)
    return images.influxdb_image()


@dataclass(frozen=True)
class Provisioned:
    """An image of a server that holds what influx/schema.yml wants, and the token files that were made for it."""

    image: str
    org: str
    secrets_dir: Path


@pytest.fixture(scope="session")
def provisioned(influxdb_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provisioned]:
    """Provisioning waits for a run of every task: done once for all servers that begin with its outcome."""
    with ExitStack() as stack:
        with influx_server(influxdb_image) as server:
            done = provision(server.url, tmp_path_factory.mktemp("secrets"))
            image = stack.enter_context(server.snapshot())
        yield Provisioned(image, done.org, done.secrets_dir)


@pytest.fixture(scope="session")
def influxd(provisioned: Provisioned) -> Iterator[InfluxServer]:
    with influx_server(provisioned.image) as server:
        yield server


@pytest.fixture(scope="session")
def influx(influxd: InfluxServer, provisioned: Provisioned) -> InfluxStack:
    return InfluxStack(influxd, provisioned.org, provisioned.secrets_dir)


@pytest.fixture
def blank_influxd(influxdb_image: str) -> Iterator[InfluxServer]:
    with influx_server(influxdb_image) as server:
        yield server


@pytest.fixture
def influxdb_url(blank_influxd: InfluxServer) -> str:
    return blank_influxd.url


@pytest.fixture
def fresh_influx(provisioned: Provisioned, tmp_path: Path) -> Iterator[InfluxStack]:
    with _stack(provisioned, tmp_path / "secrets") as stack:
        yield stack


@pytest.fixture
def second_influx(provisioned: Provisioned, tmp_path: Path) -> Iterator[InfluxStack]:
    with _stack(provisioned, tmp_path / "second") as stack:
        yield stack


@contextmanager
def _stack(provisioned: Provisioned, secrets_dir: Path) -> Iterator[InfluxStack]:
    shutil.copytree(provisioned.secrets_dir, secrets_dir)
    with influx_server(provisioned.image) as server:
        yield InfluxStack(server, provisioned.org, secrets_dir)


@pytest.fixture
def start_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Simulator]]:
    with ExitStack() as running:

        def start(*arguments: str) -> Simulator:
            return running.enter_context(simulator_process(tmp_path_factory.mktemp("simulator"), *arguments))

        yield start


@pytest.fixture
def simulator(start_simulator: Callable[..., Simulator]) -> Simulator:
    return start_simulator("--pairs", "8")
