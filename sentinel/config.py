"""The sentinel's configuration: one TOML file, read at startup. Invalid input is reported in one line."""

import ssl
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from marketdata.errors import InvalidRequest
from marketdata.stores import trust
from service import config_file
from service.config_file import ConfigError, HttpAddress, Listen, LocalPath, Name, Section, ServiceSection, all_differ


class SentinelSection(ServiceSection):
    """Listen address and interval between rounds."""

    listen: Listen = "127.0.0.1:9109"
    every_seconds: Annotated[int, Field(ge=1, le=600)] = 60
    timeout_seconds: Annotated[int, Field(ge=1, le=120)] = 20


class StoreSection(Section):
    """One InfluxDB. The token file is read in each round, so a new token does not require a restart."""

    name: Name
    url: HttpAddress
    token_file: LocalPath
    ca_file: LocalPath | None = None


class Config(Section):
    """The configuration file."""

    sentinel: SentinelSection = SentinelSection()
    store: Annotated[list[StoreSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _store_names_differ(self) -> Self:
        all_differ([store.name for store in self.store], "store.name")
        return self


def trusted(config: Config) -> ssl.SSLContext:
    """Load each store's `ca_file`. Raises ConfigError."""
    try:
        return trust(store.ca_file for store in config.store)
    except InvalidRequest as error:
        raise ConfigError(f"store.{error}") from error


def load(path: Path) -> Config:
    """Read and validate the file. Raises ConfigError with a one-line message."""
    return config_file.load(path, Config)
