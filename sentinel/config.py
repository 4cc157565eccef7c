"""The sentinel's configuration: one TOML file, read once, wrong input told in one line."""

import ssl
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator, model_validator

from marketdata.errors import InvalidRequest
from marketdata.stores import trust


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, key, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SentinelSection(_Section):
    """Where it listens and how often it looks."""

    listen: Annotated[str, Field(pattern=r"^[^:\s]+:\d{1,5}$")] = "127.0.0.1:9109"
    every_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 20
    log_level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"

    @property
    def listen_host(self) -> str:
        """Address the HTTP server binds."""
        return self.listen.rsplit(":", 1)[0]

    @property
    def listen_port(self) -> int:
        """Port the HTTP server binds."""
        return int(self.listen.rsplit(":", 1)[1])


class StoreSection(_Section):
    """One InfluxDB. The token file is read at every round: a new token needs no restart."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    url: str
    token_file: Annotated[Path, Field(strict=False)]
    ca_file: Annotated[Path | None, Field(strict=False)] = None

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        HttpUrl(value)
        return value.rstrip("/")


class Config(_Section):
    """The whole file."""

    sentinel: SentinelSection = SentinelSection()
    store: Annotated[list[StoreSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _store_names_differ(self) -> Self:
        names = [store.name for store in self.store]
        if len(set(names)) < len(names):
            raise ValueError("store.name: every store needs a name of its own")
        return self


def trusted(config: Config) -> ssl.SSLContext:
    """Read each store's `ca_file`. Raises ConfigError."""
    try:
        return trust(store.ca_file for store in config.store)
    except InvalidRequest as error:
        raise ConfigError(f"store.{error}") from error


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError with one line."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_line(error)}") from error


def _first_line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key: remove it or correct its name"
    if first["type"] == "missing":
        return f"{key}: is missing"
    value = first.get("input")
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool) else ""
    return f"{key}{shown}: {first['msg'].removeprefix('Value error, ')}"
