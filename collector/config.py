"""The collector's configuration: one TOML file, read once, wrong input told in one line."""

import os
import time
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, field_validator, model_validator

from marketdata.pairs import InvalidPair, parse_pair
from marketdata.schema import EARLIEST_MS

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIALS = f"${CREDENTIALS_VARIABLE}"

type Share = Annotated[int, Field(ge=1, le=100)]


class ConfigError(Exception):
    """The configuration cannot be used; the message names file, key, value and what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CollectorSection(_Section):
    """Who this collector is and where it keeps its state."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    state_dir: Annotated[Path, Field(strict=False)]
    listen: Annotated[str, Field(pattern=r"^[^:\s]+:\d{1,5}$")] = "127.0.0.1:9108"
    log_level: Literal["DEBUG", "INFO", "WARNING"] = "INFO"

    @property
    def listen_host(self) -> str:
        """Address the HTTP server binds."""
        return self.listen.rsplit(":", 1)[0]

    @property
    def listen_port(self) -> int:
        """Port the HTTP server binds."""
        return int(self.listen.rsplit(":", 1)[1])


class ExchangeSection(_Section):
    """Where the exchange is and which of its pairs are ours."""

    rest_url: str = "https://fapi.binance.com"
    websocket_url: str = "wss://fstream.binance.com"
    ca_file: Annotated[Path | None, Field(strict=False)] = None
    weight_share_percent: Share = 30
    pairs: Literal["all"] | list[str] = "all"
    include: list[str] = ["*"]
    exclude: list[str] = []
    include_index: bool = False
    major: list[Annotated[str, Field(min_length=1)]] = ["BTC/USDT:USDT", "ETH/USDT:USDT"]

    @field_validator("rest_url")
    @classmethod
    def _http(cls, value: str) -> str:
        HttpUrl(value)
        return value.rstrip("/")

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


class FillSection(_Section):
    """What a store is filled with at its first run."""

    hours: Annotated[int, Field(ge=1, le=720)] = 49
    rollup_windows: Annotated[int, Field(ge=1, le=499)] = 499


class LedgerSection(_Section):
    """From where on a store must hold every candle, and how often that is looked at."""

    start: datetime | date | None = None
    check_seconds: Annotated[int, Field(ge=5, le=3600)] = 180

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


class FundingSection(_Section):
    """How far back settled funding and hourly mark price candles are kept complete."""

    history_days: Annotated[int, Field(ge=1, le=365)] = 30


class SpoolSection(_Section):
    """Bounds of the spool, for each store. At a bound the oldest file goes, counted."""

    max_bytes: Annotated[int, Field(ge=1_000_000)] = 2_000_000_000
    max_files: Annotated[int, Field(ge=100)] = 500_000


class StoreSection(_Section):
    """One InfluxDB. A token file may lie in `$CREDENTIALS_DIRECTORY`, where systemd puts this service's credentials."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    url: str
    ca_file: Annotated[Path | None, Field(strict=False)] = None
    org: str = "marketdata"
    ingest_token_file: Annotated[Path, Field(strict=False)]
    repair_token_file: Annotated[Path, Field(strict=False)]

    @field_validator("ingest_token_file", "repair_token_file")
    @classmethod
    def _in_credentials(cls, value: Path) -> Path:
        if value.parts[:1] != (CREDENTIALS,):
            return value
        if CREDENTIALS_VARIABLE not in os.environ:
            raise ValueError(f"systemd sets {CREDENTIALS} for its service: use marketdata-collector, or name a file")
        return Path(os.environ[CREDENTIALS_VARIABLE], *value.parts[1:])

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        HttpUrl(value)
        return value.rstrip("/")


class Config(_Section):
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
        names = [store.name for store in self.store]
        if len(set(names)) < len(names):
            raise ValueError("store.name: every store needs a name of its own")
        return self


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


def read_tokens(config: Config) -> None:
    """Read every token once, as a proof that all are there. Raises ConfigError."""
    for store in config.store:
        read_token(store.ingest_token_file)
        read_token(store.repair_token_file)


def read_token(path: Path) -> str:
    """Read a token file. Raises ConfigError if it is missing, unreadable or empty."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: token file cannot be read: {error.strerror}") from error
    if not token:
        raise ConfigError(f"{path}: token file is empty: write the InfluxDB token into it")
    return token


def _utc_ms(start: date) -> int:
    moment = start if isinstance(start, datetime) else datetime(start.year, start.month, start.day, tzinfo=UTC)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _first_line(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    # The same key may fail each branch of a union: the last one is the most general.
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"]) or "file"
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key: remove it or correct its name"
    if first["type"] == "missing":
        return f"{key}: is missing"
    value = first.get("input")
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool) else ""
    return f"{key}{shown}: {first['msg'].removeprefix('Value error, ')}"
