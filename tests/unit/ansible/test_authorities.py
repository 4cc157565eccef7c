"""TLS to the stores: which authorities are trusted, and what is said of a file that holds none."""

import importlib.util
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import collector.config
import sentinel.config
from collector.store.session import authorities as collectors_authorities
from influx.backup.errors import BackupError
from influx.backup.server import Server
from influx.reconcile.api import Api
from influx.reconcile.errors import InvalidInput, Unreachable
from marketdata.errors import InvalidRequest
from marketdata.stores import Store, stores_from_env, stores_from_file, trust
from service.config_file import ConfigError
from simulator.tls import server_context

FILTERS = Path(__file__).parents[3] / "ansible/plugins/filter/tls.py"


@pytest.fixture(scope="module")
def authorities() -> Callable[..., list[dict[str, str]]]:
    spec = importlib.util.spec_from_file_location("tls_filters", FILTERS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., list[dict[str, str]]] = module.authorities
    return found


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A file that holds no certificate."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate", encoding="ascii")
    return file


def test_the_monitoring_trusts_our_servers_that_speak_tls_and_nobody_else(
    authorities: Callable[..., list[dict[str, str]]],
) -> None:
    stores = [
        {"name": "main", "url": "https://10.0.0.9:8086", "token_server": "store1"},
        {"name": "plain", "url": "http://10.0.0.8:8086", "token_server": "store2"},
        {"name": "hosted", "url": "https://influx.example"},
    ]
    store = {"name": "store-main", "server": "store1", "source": "/etc/influxdb/tls/ca.pem"}
    grafana = {"name": "grafana-monitor1", "server": "monitor1", "source": "/etc/grafana/tls/ca.pem"}
    assert authorities(stores, ["monitor1"], "https") == [store, grafana]
    assert authorities(stores, ["monitor1"], "http") == [store]
    assert authorities(stores, [], "https") == [store]


def test_a_stores_authority_is_trusted_besides_the_systems(tmp_path: Path) -> None:
    server_context(tmp_path)
    system = len(trust([None]).get_ca_certs())
    assert len(trust([None, tmp_path / "ca.pem"]).get_ca_certs()) == system + 1


def test_the_library_takes_an_authority_from_a_file_of_stores_and_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "reader.toml"
    file.write_text('[[store]]\nurl = "https://a"\ntoken_file = "t"\nca_file = "ca.pem"\n', encoding="utf-8")
    assert stores_from_file(file) == [Store("https://a", token_file="t", ca_file="ca.pem")]
    environ = {"MARKETDATA_URL": "https://a", "MARKETDATA_TOKEN_FILE": "t", "MARKETDATA_CA_FILE": "ca.pem"}
    assert stores_from_env(environ) == [Store("https://a", token_file="t", ca_file="ca.pem")]


def test_a_file_without_a_certificate_is_named_by_whoever_was_given_it(nothing: Path, tmp_path: Path) -> None:
    named = re.escape(str(nothing))
    with pytest.raises(InvalidRequest, match=named):
        trust([nothing])
    with pytest.raises(InvalidInput, match=named):
        Api("https://127.0.0.1:8086", ca_file=nothing)
    with pytest.raises(BackupError, match=named):
        Server("https://127.0.0.1:8086", ca_file=nothing)
    store = f'[[store]]\nname = "main"\nurl = "https://127.0.0.1:8086"\nca_file = "{nothing}"\n'
    file = tmp_path / "collector.toml"
    tokens = 'ingest_token_file = "i"\nrepair_token_file = "r"\n'
    file.write_text(f'[collector]\nname = "one"\nstate_dir = "{tmp_path}"\n{store}{tokens}', encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        collectors_authorities(collector.config.load(file))
    file.write_text(f'{store}token_file = "t"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=named):
        sentinel.config.trusted(sentinel.config.load(file))


def test_a_server_that_was_asked_without_tls_and_speaks_it_is_no_server_that_answered() -> None:
    """So a rehearsal of the change to TLS, or back, can go on."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        with pytest.raises(Unreachable, match="https://"):
            Api(f"http://127.0.0.1:{listener.getsockname()[1]}").get("/api/v2/setup")
        server.join()
