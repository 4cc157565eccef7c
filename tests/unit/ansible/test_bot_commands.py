"""Whether one more --config at the end of a service's command reaches freqtrade, and the message if not."""

import json

import pytest
from bot_commands import configs, refusal, refusal_of_given, runs_with, trading, words

OURS = "/etc/marketdata-feeder/a.json"
SHELL = '/bin/bash -c "source bin/activate && freqtrade trade --config c.json >> log 2>&1"'


@pytest.mark.parametrize(
    "command",
    [
        "/opt/ft/bin/freqtrade trade --config c.json",
        "/opt/ft/bin/freqtrade trade -c a.json -c b.json --strategy S",
        "-/opt/ft/bin/python -m freqtrade trade --config=c.json",
        "/usr/bin/nice -n 5 /opt/ft/bin/freqtrade trade -cc.json",
        "/usr/bin/bash /opt/ft/in-venv.sh freqtrade trade --config 'my c.json'",
    ],
)
def test_a_command_that_starts_freqtrade_itself_is_given_the_file(command: str) -> None:
    assert refusal(command) == ""


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (
            SHELL,
            '/bin/bash -c "source bin/activate && freqtrade trade --config c.json --config {config} >> log 2>&1"',
        ),
        (
            "/bin/sh -ec 'cd /opt/ft; exec freqtrade  trade -c a.json --config=b.json --strategy S'",
            "/bin/sh -ec 'cd /opt/ft; exec freqtrade  trade -c a.json --config=b.json --config {config} --strategy S'",
        ),
        (
            "/bin/bash -o pipefail -l -c 'freqtrade trade -c a.json | tee log'",
            "/bin/bash -o pipefail -l -c 'freqtrade trade -c a.json --config {config} | tee log'",
        ),
        (
            "/usr/bin/su -c 'freqtrade trade -c a.json' ft",
            "/usr/bin/su -c 'freqtrade trade -c a.json --config {config}' ft",
        ),
        (
            '/usr/bin/env -S "freqtrade trade -c a.json"',
            '/usr/bin/env -S "freqtrade trade -c a.json --config {config}"',
        ),
        (
            "/usr/bin/docker run freqtradeorg/freqtrade trade --config /freqtrade/c.json",
            "/usr/bin/docker run freqtradeorg/freqtrade trade --config /freqtrade/c.json --config {config}",
        ),
        ("/bin/sh -c freqtrade trade -c a.json", "/bin/sh -c freqtrade trade -c a.json --config {config}"),
    ],
)
def test_a_command_where_the_file_would_be_lost_is_refused_with_the_line_to_write(command: str, instead: str) -> None:
    assert refusal(command).endswith(f"give the bot `command: {json.dumps(instead)}`")


@pytest.mark.parametrize(
    "command",
    [
        "/opt/start-bot",
        "/usr/bin/docker run freqtradeorg/freqtrade:stable trade",
        "/opt/ft/bin/freqtrade trade",
        "/opt/ft/bin/freqtrade webserver --config c.json",
        "/opt/ft/bin/freqtrade $ARGUMENTS",
        "/bin/bash -c 'freqtrade trade",
    ],
)
def test_a_command_that_cannot_be_completed_is_refused_with_what_a_command_needs(command: str) -> None:
    assert refusal(command).endswith(
        "give the bot a `command` that starts it with --config {config} after its own --config"
    )


def test_what_is_written_instead_is_accepted() -> None:
    line = json.loads(refusal(SHELL).partition("`command: ")[2].rstrip("`"))
    assert refusal_of_given(line) == ""
    assert "{config}" in refusal_of_given("/opt/start-bot")
    assert "within that text" in refusal_of_given(f"{SHELL} --config {{config}}")


def test_a_process_was_given_a_file_if_it_is_an_argument_of_its_own_and_not_of_a_shell() -> None:
    assert runs_with(["python", "/opt/ft/bin/freqtrade", "trade", "--config", "c.json", "--config", OURS], OURS)
    assert runs_with(["docker", "run", f"--volume={OURS}:/c.json:ro", "freqtrade:stable"], OURS)
    assert not runs_with(["/bin/bash", "-c", "freqtrade trade --config c.json", "--config", OURS], OURS)
    assert not runs_with(["python", "/opt/ft/bin/freqtrade", "trade", "--config", f"{OURS}.old"], OURS)


def test_what_freqtrade_is_given_is_read_as_it_reads_it() -> None:
    argv = words("python -m freqtrade trade -c a.json --config=b.json --strategy S --config 'c d.json' -ce.json")
    assert configs(trading(argv)) == ["a.json", "b.json", "c d.json", "e.json"]
    assert trading(["python", "-c", "freqtrade trade"]) == []
