"""The gateway's configuration: one TOML file, read once; invalid input is reported in one line."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from exchange import proxy
from gateway.api.params import EXCHANGE_INTERVALS
from marketdata.stores import Store
from service import config_file
from service.config_file import HttpAddress, Listen, LocalPath, Name, Section, ServiceSection, all_differ, read_token
from service.systemd import in_credentials

type Proxy = Annotated[str, AfterValidator(proxy.checked)]
type Network = IPv4Network | IPv6Network


class GatewaySection(ServiceSection):
    """What this gateway is called, where it listens, and for whom."""

    name: Name
    state_dir: LocalPath
    listen: Listen = "127.0.0.1:8090"
    allow: list[str] = Field(default=[])
    refuse_intervals: list[str] = Field(default=[])

    @field_validator("allow")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for text in value:
            ip_network(text)
        return value

    @field_validator("refuse_intervals")
    @classmethod
    def _intervals(cls, value: list[str]) -> list[str]:
        unknown = [text for text in value if text not in EXCHANGE_INTERVALS]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of {' '.join(EXCHANGE_INTERVALS)}")
        return value

    @property
    def networks(self) -> list[Network]:
        """Networks that may send requests; everybody may if it is empty."""
        return [ip_network(text) for text in self.allow]


class ExchangeSection(Section):
    """Where the exchange is, and how much of its weight limit the gateway may spend."""

    rest_url: HttpAddress = "https://fapi.binance.com"
    ca_file: LocalPath | None = None
    proxy: Proxy | None = None
    weight_share_percent: Annotated[int, Field(ge=1, le=100)] = 20


class CollectorSection(Section):
    """One collector whose /stream is read."""

    name: Name
    url: HttpAddress


class StoreSection(Section):
    """One InfluxDB. The token file is read for every query; it may be in `$CREDENTIALS_DIRECTORY`."""

    name: Name
    url: HttpAddress
    ca_file: LocalPath | None = None
    org: str = "marketdata"
    reader_token_file: LocalPath

    def opened(self) -> Store:
        """Return what the reader needs to know about it."""
        return Store(self.url, token_file=self.reader_token_file, ca_file=self.ca_file)

    @field_validator("reader_token_file")
    @classmethod
    def _in_credentials(cls, value: Path) -> Path:
        return in_credentials(value, "marketdata-gateway")


class Config(Section):
    """The whole file. Without a collector, the stores are polled."""

    gateway: GatewaySection
    exchange: ExchangeSection = ExchangeSection()
    collector: list[CollectorSection] = Field(default=[])
    store: Annotated[list[StoreSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        all_differ([collector.name for collector in self.collector], "collector.name")
        all_differ([store.name for store in self.store], "store.name")
        return self


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError with one line."""
    return config_file.load(path, Config)


def read_tokens(config: Config) -> None:
    """Read every token once, to prove that they are all there. Raises ConfigError."""
    for store in config.store:
        read_token(store.reader_token_file)
