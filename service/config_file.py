"""A service's TOML file: read once into pydantic models; invalid input is reported in one line."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from service.systemd import missing_credential


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, key, value and what is allowed."""


class Section(BaseModel):
    """A table of the file: unknown keys are rejected, and every value must have its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _http(value: str) -> str:
    HttpUrl(value)
    return value.rstrip("/")


type Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
"""An operator's name for something: used as a label and in file names."""

type Listen = Annotated[str, Field(pattern=r"^[^:\s]+:\d{1,5}$")]
"""``host:port``."""

type HttpAddress = Annotated[str, AfterValidator(_http)]
"""An http or https URL; a trailing slash is removed."""

type LocalPath = Annotated[Path, Field(strict=False)]


class ServiceSection(Section):
    """What every service configures: the address of its HTTP server, and its log level."""

    listen: Listen
    log_level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"

    @property
    def listen_host(self) -> str:
        """Address the HTTP server binds to."""
        return self.listen.rsplit(":", 1)[0]

    @property
    def listen_port(self) -> int:
        """Port the HTTP server binds to."""
        return int(self.listen.rsplit(":", 1)[1])


def all_differ(names: list[str], key: str) -> None:
    """Raise ValueError, for a model's validator, if a name occurs twice; `key` is ``store.name``, for example."""
    if len(set(names)) < len(names):
        raise ValueError(f"{key}: every {key.partition('.')[0]} needs a name of its own")


def load[T: BaseModel](path: Path, kind: type[T]) -> T:
    """Read and check the file. Raises ConfigError with one line."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_line(error)}") from error


def read_token(path: Path) -> str:
    """Read a token file. Raises ConfigError if it is missing, unreadable, empty or contains more than one token."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        cause = missing_credential(path) if isinstance(error, FileNotFoundError) else ""
        why = f"{error.strerror}: {cause}" if cause else f"{error.strerror}"
        raise ConfigError(f"{path}: token file cannot be read: {why}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: token file is not text: write the InfluxDB token into it") from error
    if not token:
        raise ConfigError(f"{path}: token file is empty: write the InfluxDB token into it")
    if not token.isascii() or not token.isprintable():
        raise ConfigError(f"{path}: token file must contain the InfluxDB token, in one line, and nothing else")
    return token


def _first_line(error: ValidationError) -> str:
    # The same key may fail every branch of a union: only the first problem is shown.
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key: remove it or correct its name"
    if first["type"] == "missing":
        return f"{key}: is missing"
    value = first.get("input")
    secret = isinstance(value, str) and "@" in value  # an address with a password
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool) and not secret else ""
    return f"{key}{shown}: {first['msg'].removeprefix('Value error, ')}"
