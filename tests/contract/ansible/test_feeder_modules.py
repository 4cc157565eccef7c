"""The role feeder's modules, run by Ansible on real processes and the gateway's server; systemctl reads from a file."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from gateway.api.answers import Answer, Query
from gateway.web import Web
from tests.support import eventually
from tests.support.feeder_files import ANSIBLE

OURS = "/etc/marketdata-feeder/a.json"
DROP_IN = "90-marketdata-gateway.conf"
PROXY = "http://10.0.0.9:3128"
SYSTEMCTL = """#!/bin/sh
# `show` prints the properties; `restart` starts the unit once more.
cd "$(dirname "$0")"
case "$*" in
    *InvocationID*) sed -n 's/^InvocationID=//p' properties ;;
    show*) cat properties ;;
    restart*) echo "$*" >> restarted; sed -i 's/^InvocationID=.*/InvocationID=second/' properties ;;
esac
"""


class Host:
    """A service whose unit, processes and configuration lie in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "systemctl").write_text(SYSTEMCTL, encoding="utf-8")
        (folder / "systemctl").chmod(0o755)
        (folder / "freqtrade").write_text("import sys\nsys.stdin.read()\n", encoding="utf-8")
        self.configure()

    def configure(self, **ccxt_config: Any) -> None:
        content = {"exchange": {"name": "binance", "key": "a key", "ccxt_config": ccxt_config}}
        (self.folder / "c.json").write_text(f"// its own\n{json.dumps(content)}", encoding="utf-8")

    def unit(self, command: str, *, main: int = 0, **properties: str) -> None:
        """What the unit's file and systemd say."""
        (self.folder / "bot.service").write_text(f"[Service]\nExecStart={command}\n", encoding="utf-8")
        told = {
            "LoadState": "loaded",
            "FragmentPath": str(self.folder / "bot.service"),
            "DropInPaths": "",
            "ActiveState": "active" if main else "inactive",
            "MainPID": str(main),
            "NRestarts": "0",
            "ExecMainStartTimestamp": "@1764400000" if main else "",
            "WorkingDirectory": str(self.folder),
            "Environment": "",
            "InvocationID": "first",
            **properties,
        }
        text = "".join(f"{name}={value}\n" for name, value in told.items())
        (self.folder / "properties").write_text(text, encoding="utf-8")

    @contextmanager
    def running(self, *argv: str, **environment: str) -> Iterator[int]:
        """The number of a process with these arguments, which runs until the end of the block."""
        with subprocess.Popen(
            argv, cwd=self.folder, env={"PATH": os.environ["PATH"], **environment}, stdin=subprocess.PIPE
        ) as process:
            try:
                # Until it has become what it was started as, its command line is that of the one that started it.
                eventually(lambda: argv[-1] in Path(f"/proc/{process.pid}/cmdline").read_text("utf-8"), 30)
                yield process.pid
            finally:
                process.communicate()

    def command(self, module: str, arguments: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
        ansible = [str(Path(sys.executable).parent / "ansible"), "-i", "localhost,", "-c", "local", "localhost", "-o"]
        environment = {
            **os.environ,
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "ANSIBLE_LOCAL_TEMP": str(self.folder),
            "ANSIBLE_HOME": str(self.folder),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        }
        return [*ansible, "-m", module, "-a", json.dumps(arguments)], environment

    def look(self, **arguments: str) -> dict[str, Any]:
        asked = {"unit": "bot.service", "config": OURS, "gateway_url": "http://127.0.0.1:8090", **arguments}
        command, environment = self.command("freqtrade_bot", asked)
        done = subprocess.run(command, cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False)
        return result(done.stdout, done.stderr)


def result(stdout: str, stderr: str) -> dict[str, Any]:
    assert "=>" in stdout, stdout + stderr
    content: dict[str, Any] = json.loads(stdout.partition("=>")[2])
    return content


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_bot_in_a_shell_is_refused_and_what_the_shell_was_given_is_no_proof(host: Host) -> None:
    text = f"{sys.executable} freqtrade trade --config c.json; true"
    host.unit(f'/bin/bash -c "{text}"')
    with host.running("/bin/bash", "-c", text, "--config", OURS) as main:
        host.unit(f'/bin/bash -c "{text}"', main=main)
        seen = host.look()
    (reason,) = seen["refused"]
    assert reason.startswith("bot.service hands its command to a shell")
    assert "freqtrade trade --config c.json --config {config}; true" in reason
    assert (seen["active"], seen["given"]) == (True, False)

    within = text.replace("c.json", f"c.json --config {OURS}")
    with host.running("/bin/bash", "-c", within) as main:
        host.unit(f'/bin/bash -c "{text}"', main=main)
        command = f'/bin/bash -c "{text.replace("c.json", "c.json --config {config}")}"'
        seen = eventually(lambda: (now := host.look(command=command))["given"] and now, 30, what="the bot in its shell")
    assert (seen["refused"], seen["command"]) == ([], f'/bin/bash -c "{within}"')


def test_a_proxy_is_refused_by_the_name_of_its_setting_whether_the_bot_runs_or_not(host: Host) -> None:
    command = f"{sys.executable} freqtrade trade --config c.json"
    host.configure(httpsProxy=PROXY)
    host.unit(command)
    (stopped,) = host.look()["refused"]
    assert stopped.startswith(f"bot.service has exchange.ccxt_config.httpsProxy in {host.folder}/c.json")
    with host.running(*command.split(), HTTPS_PROXY=PROXY) as main:
        host.unit("/opt/start-bot", main=main)
        seen = host.look(command="/opt/start-bot {config}")
    assert [reason.split()[2] for reason in seen["refused"]] == ["HTTPS_PROXY", "exchange.ccxt_config.httpsProxy"]
    assert "10.0.0.9" not in json.dumps(seen["refused"])


def test_the_units_environment_counts_for_a_bot_that_does_not_run(host: Host) -> None:
    host.configure(aiohttp_trust_env=True)
    (host.folder / "env").write_text(f"# of the bot\nhttp_proxy='{PROXY}'\n", encoding="utf-8")
    file = f"{host.folder}/env (ignore_errors=no)"
    host.unit("/opt/ft/bin/freqtrade trade -c c.json", EnvironmentFiles=file)
    assert [reason.split()[2] for reason in host.look()["refused"]] == [
        "http_proxy",
        "exchange.ccxt_config.aiohttp_trust_env",
    ]
    bypass = "A=b 'NO_PROXY=localhost, 127.0.0.1'"
    host.unit("/opt/ft/bin/freqtrade trade -c c.json", EnvironmentFiles=file, Environment=bypass)
    assert host.look()["refused"] == []


def test_a_bot_as_it_should_be_is_given_one_more_file(host: Host) -> None:
    argv = [sys.executable, "freqtrade", "trade", "--config", "c.json"]
    with host.running(*argv, "--config", OURS) as main:
        host.unit(" ".join(argv), main=main)
        seen = host.look()
    assert (seen["refused"], seen["given"]) == ([], True)
    assert seen["command"] == " ".join([*argv, "--config", OURS])
    assert seen["settings"] == [f"{host.folder}/c.json"]
    host.unit("", LoadState="not-found", FragmentPath="")
    assert "is missing" in host.look()["refused"][0]


@asynccontextmanager
async def gateway() -> AsyncIterator[str]:
    async def ping(_: Query) -> Answer:
        return Answer(b"{}")

    own = Web({"/fapi/v1/ping": ping}, CollectorRegistry(), not_ready=list, used_weight=lambda: 0)
    async with TestServer(own.application()) as server:
        yield str(server.make_url("")).rstrip("/")


async def ran(host: Host, module: str, **arguments: Any) -> dict[str, Any]:
    command, environment = host.command(module, arguments)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ANSIBLE, env=environment, stdout=pipe, stderr=pipe)
    stdout, stderr = await process.communicate()
    return result(stdout.decode(), stderr.decode())


async def ask(url: str) -> None:
    pipe = asyncio.subprocess.PIPE
    asker = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1]).read()"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", asker, url, stderr=pipe)
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()


async def test_a_switch_is_proven_by_what_the_gateway_counts_of_that_bot_since_its_restart(host: Host) -> None:
    host.unit("/opt/ft/bin/freqtrade trade -c c.json")
    async with gateway() as url:
        for name in ("feeder75-a", "feeder75-b"):
            await ask(f"{url}/bots/{name}/fapi/v1/ping")
        asked = {"bot": "feeder75-a", "metrics_urls": [f"{url}/metrics"]}
        restarted = await ran(host, "bot_restart", unit="bot.service", **asked)
        assert (restarted["changed"], restarted["counts"]) == (True, [1])
        assert (host.folder / "restarted").read_text("utf-8") == "restart --no-block bot.service\n"

        await ask(f"{url}/bots/feeder75-b/fapi/v1/ping")
        await ask(f"{url}/fapi/v1/ping")
        alone = await ran(host, "bot_answered", **asked, counts=restarted["counts"], wait_seconds=0)
        assert "counted no request of feeder75-a" in alone["msg"]

        await ask(f"{url}/bots/feeder75-a/fapi/v1/ping")
        proven = await ran(host, "bot_answered", **asked, counts=restarted["counts"], wait_seconds=60)
        assert (proven["changed"], proven["counts"]) == (False, [2])


async def test_a_gateway_that_was_restarted_meanwhile_counts_from_nothing(host: Host) -> None:
    async with gateway() as url:
        await ask(f"{url}/bots/a/fapi/v1/ping")
        proven = await ran(host, "bot_answered", bot="a", metrics_urls=[f"{url}/metrics"], counts=[7], wait_seconds=60)
        assert proven["counts"] == [1]


async def test_what_counts_no_bots_is_named(host: Host) -> None:
    async with gateway() as url:
        asked = {"bot": "a", "metrics_urls": [f"{url}/healthz"], "counts": [0], "wait_seconds": 0}
        assert "roll the gateway first" in (await ran(host, "bot_answered", **asked))["msg"]
