"""The collector's configuration: one TOML file, read once; invalid input is reported in one line."""

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from exchange import proxy
from exchange.again import AGAIN_MS
from exchange.known import DEFAULT, EXCHANGES
from marketdata.pairs import InvalidPair, parse_pair
from marketdata.schema import EARLIEST_MS
from service import config_file
from service.config_file import HttpAddress, Listen, LocalPath, Name, Section, ServiceSection, all_differ, read_token
from service.systemd import in_credentials

type Proxy = Annotated[str, AfterValidator(proxy.checked)]
type Share = Annotated[int, Field(ge=1, le=100)]


def _known(exchange: str) -> str:
    if exchange not in EXCHANGES:
        raise ValueError(f"must be one of {' '.join(EXCHANGES)}")
    return exchange


class CollectorSection(ServiceSection):
    """The name of this collector and where it keeps its state."""

    name: Name
    state_dir: LocalPath
    listen: Listen = "127.0.0.1:9108"


class ExchangeSection(Section):
    """Where the exchange is and which of its pairs to collect."""

    id: Annotated[str, AfterValidator(_known)] = DEFAULT.id
    rest_url: HttpAddress = DEFAULT.rest_url
    websocket_url: str = DEFAULT.websocket_url
    ca_file: LocalPath | None = None
    proxy: Proxy | None = None
    weight_share_percent: Share = 30
    pairs: Literal["all"] | list[str] = "all"
    include: list[str] = Field(default=["*"])
    exclude: list[str] = Field(default=[])
    include_index: bool = False
    major: list[Annotated[str, Field(min_length=1)]] = Field(default=["BTC/USDT:USDT", "ETH/USDT:USDT"])

    @model_validator(mode="before")
    @classmethod
    def _addresses(cls, section: Any) -> Any:
        """Use the exchange's own addresses unless others are configured."""
        if not isinstance(section, dict):
            return section
        facts = EXCHANGES.get(section.get("id", DEFAULT.id), DEFAULT)
        return {"rest_url": facts.rest_url, "websocket_url": facts.websocket_url} | section

    @field_validator("websocket_url")
    @classmethod
    def _secure_websocket(cls, value: str) -> str:
        if not value.startswith("wss://"):
            raise ValueError("must start with wss://")
        return value.rstrip("/")

    @field_validator("pairs")
    @classmethod
    def _pairs(cls, value: Literal["all"] | list[str]) -> Literal["all"] | list[str]:
        for pair in value if isinstance(value, list) else ():
            try:
                parse_pair(pair)
            except InvalidPair as error:
                raise ValueError(str(error)) from error
        return value


class FillSection(Section):
    """What a store is filled with on its first run."""

    hours: Annotated[int, Field(ge=1, le=720)] = 49
    rollup_windows: Annotated[int, Field(ge=1, le=499)] = 499


class LedgerSection(Section):
    """From where on a store must hold every candle, and how often that is checked."""

    start: datetime | date | None = None
    check_seconds: Annotated[int, Field(ge=5, le=3600)] = 180
    ask_again_seconds: Annotated[list[Annotated[int, Field(ge=5)]], Field(max_length=20)] = Field(
        default=[after_ms // 1000 for after_ms in AGAIN_MS]
    )

    @field_validator("ask_again_seconds")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if sorted(set(value)) != value:
            raise ValueError("must be ascending")
        return value

    @field_validator("start")
    @classmethod
    def _in_the_past(cls, value: date | None) -> date | None:
        if value is not None and not EARLIEST_MS <= _utc_ms(value) <= time.time() * 1000:
            raise ValueError("must be a day, or a day and time, from 2019-01-01 to now")
        return value

    @property
    def start_ms(self) -> int | None:
        """The start in UTC milliseconds; None: `[fill] hours` before the store's first run."""
        return None if self.start is None else _utc_ms(self.start)


class FundingSection(Section):
    """How far back settled funding and hourly mark price candles are kept complete."""

    history_days: Annotated[int, Field(ge=1, le=365)] = 30


class SpoolSection(Section):
    """Limits of the spool, per store. At a limit the oldest file is dropped and counted."""

    max_bytes: Annotated[int, Field(ge=1_000_000)] = 2_000_000_000
    max_files: Annotated[int, Field(ge=100)] = 500_000


class StoreSection(Section):
    """One InfluxDB. Token files may be in `$CREDENTIALS_DIRECTORY`, where systemd puts this service's credentials."""

    name: Name
    url: HttpAddress
    ca_file: LocalPath | None = None
    org: str = "marketdata"
    ingest_token_file: LocalPath
    repair_token_file: LocalPath

    @field_validator("ingest_token_file", "repair_token_file")
    @classmethod
    def _in_credentials(cls, value: Path) -> Path:
        return in_credentials(value, "marketdata-collector")


class Config(Section):
    """The whole file."""

    collector: CollectorSection
    exchange: ExchangeSection = ExchangeSection()
    fill: FillSection = FillSection()
    ledger: LedgerSection = LedgerSection()
    funding: FundingSection = FundingSection()
    spool: SpoolSection = SpoolSection()
    store: Annotated[list[StoreSection], Field(min_length=1)]

    @model_validator(mode="after")
    def _store_names_differ(self) -> Self:
        all_differ([store.name for store in self.store], "store.name")
        return self


def load(path: Path) -> Config:
    """Read and check the file. Raises ConfigError with a one-line message."""
    return config_file.load(path, Config)


def read_tokens(config: Config) -> None:
    """Read every token once to prove that all exist. Raises ConfigError."""
    for store in config.store:
        read_token(store.ingest_token_file)
        read_token(store.repair_token_file)


def _utc_ms(start: date) -> int:
    moment = start if isinstance(start, datetime) else datetime(start.year, start.month, start.day, tzinfo=UTC)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
