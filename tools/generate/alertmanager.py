"""Renders prometheus/alertmanager.yml.j2, the only source of Alertmanager's configuration.

    python -m tools.generate.alertmanager [SETTINGS.yml]   prints the configuration (without a file: no receivers)
    python -m tools.generate.alertmanager --write          writes prometheus/alertmanager.yml, without receivers
    python -m tools.generate.alertmanager --check          checks that this file matches the template, and has amtool
                                                           check the configuration of every combination of receivers

Ansible renders the same template with variables of the same names.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import jinja2
import yaml
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tools.bootstrap import programs

FOLDER = Path(__file__).resolve().parent.parent.parent / "prometheus"
TEMPLATE = FOLDER / "alertmanager.yml.j2"
SHIPPED = FOLDER / "alertmanager.yml"

type Severity = Literal["critical", "warning"]
type SecretFile = Annotated[str, Field(pattern=r"^/")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Receiver(_Model):
    severities: tuple[Severity, ...] = ("critical", "warning")


class _Url(_Model):
    """An address, or a file that contains it if it is a secret (Alertmanager 0.26)."""

    url: AnyHttpUrl | None = None
    url_file: SecretFile | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give either url or url_file")
        return self


class Webhook(_Url, _Receiver):
    """A program that accepts Alertmanager's JSON."""


class Heartbeat(_Url):
    """The external service that raises an alarm when the watchdog goes silent."""


class Email(_Receiver):
    """`smarthost` is host:port."""

    to: str
    sender: str = Field(alias="from")
    smarthost: Annotated[str, Field(pattern=r"^[^:]+:\d+$")]
    username: str | None = None
    password_file: SecretFile | None = None
    require_tls: bool = True

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("give username and password_file, or neither")
        return self


class Telegram(_Receiver):
    """A chat with a bot (Alertmanager 0.26)."""

    chat_id: int
    bot_token_file: SecretFile


class Slack(_Receiver):
    """`api_url_file` contains the address of an incoming webhook, which is a secret."""

    channel: str
    api_url_file: SecretFile


class Settings(_Model):
    """Who is notified. Without receivers, alerts are only visible in Alertmanager."""

    alertmanager_webhook: Webhook | None = None
    alertmanager_email: Email | None = None
    alertmanager_telegram: Telegram | None = None
    alertmanager_slack: Slack | None = None
    alertmanager_heartbeat: Heartbeat | None = None


def render(settings: Settings) -> str:
    """Return Alertmanager's configuration as YAML."""
    # Set up like Ansible's template module. The output is YAML, not HTML.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)  # noqa: S701
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(settings.model_dump(mode="json", by_alias=True))


EXAMPLE: dict[str, Any] = {
    "alertmanager_webhook": {"url": "http://127.0.0.1:8080/alerts?a=1&b=2", "severities": ["critical"]},
    "alertmanager_email": {
        "to": "ops@example.org",
        "from": "marketdata@example.org",
        "smarthost": "mail.example.org:587",
        "username": "marketdata",
        "password_file": "/etc/alertmanager/secrets/smtp-password",
        "severities": ["warning"],
    },
    "alertmanager_telegram": {"chat_id": -1001, "bot_token_file": "/etc/alertmanager/secrets/telegram-token"},
    "alertmanager_slack": {"channel": "#alerts", "api_url_file": "/etc/alertmanager/secrets/slack-url"},
    "alertmanager_heartbeat": {"url_file": "/etc/alertmanager/secrets/heartbeat-url"},
}
"""One receiver of each kind."""


def every_combination() -> Iterator[Settings]:
    """Yield every subset of the example's receivers, including none and all."""
    for names in chain.from_iterable(combinations(EXAMPLE, count) for count in range(len(EXAMPLE) + 1)):
        yield Settings.model_validate({name: EXAMPLE[name] for name in names})


def as_known_to(amtool_version: str, config: str) -> str:
    """Replace what an amtool before 0.26 does not know, so that it can check the rest."""
    major, minor, *_ = map(int, amtool_version.split("."))
    if (major, minor) >= (0, 26):
        return config
    config = re.sub(r'bot_token_file: ".*"', 'bot_token: "stand-in"', config)
    return re.sub(r'\burl_file: "/.*"', 'url: "http://stand-in/"', config)


def complaints(amtool: Path) -> list[str]:
    """Return amtool's errors for the configurations; empty if all are valid."""
    amtool_version = programs.version("amtool", amtool) or "0.0"
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, settings in enumerate(every_combination()):
            file = Path(folder, f"{number}.yml")
            file.write_text(as_known_to(amtool_version, render(settings)), encoding="utf-8")
            files.append(str(file))
        run = subprocess.run([amtool, "check-config", *files], capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else [*run.stdout.splitlines(), *run.stderr.splitlines()]


def check() -> list[str]:
    """Return the problems of the template and the generated file, one line each."""
    wrong = []
    if not SHIPPED.exists() or SHIPPED.read_text(encoding="utf-8") != render(Settings()):
        wrong.append(
            f"{SHIPPED.name} does not match {TEMPLATE.name}: run python -m tools.generate.alertmanager --write"
        )
    amtool = programs.find("amtool")
    return wrong + (complaints(amtool) if amtool else ["amtool is missing: run make setup"])


def main(arguments: list[str] | None = None) -> int:
    """See the module's docstring. Returns 0, 1 if the check fails, 2 for invalid settings."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.generate.alertmanager", description="Alertmanager's configuration"
    )
    parser.add_argument("settings", nargs="?", type=Path, help="a YAML file with the variables of the template")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", action="store_true", help=f"write prometheus/{SHIPPED.name}")
    action.add_argument(
        "--check", action="store_true", help="compare that file, and have amtool check every combination"
    )
    chosen = parser.parse_args(arguments)
    if chosen.write:
        SHIPPED.write_text(render(Settings()), encoding="utf-8")
    elif chosen.check:
        wrong = check()
        print("\n".join(wrong) or "alertmanager: clean")
        return 1 if wrong else 0
    else:
        return _print(chosen.settings)
    return 0


def _print(file: Path | None) -> int:
    try:
        given = yaml.safe_load(file.read_text(encoding="utf-8")) if file else {}
        print(render(Settings.model_validate(given or {})), end="")
    except ValidationError as error:
        first = error.errors()[0]
        print(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}", file=sys.stderr)
        return 2
    except (OSError, yaml.YAMLError) as error:
        print(f"{file}: {error}".replace("\n", " "), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
