"""The exchanges a collector can collect from, by id."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exchange.binance import feed
from exchange.binance.facts import FACTS
from exchange.binance.requests import BinanceClient
from exchange.client import ExchangeClient
from exchange.facts import Facts
from exchange.feed import FeedFactory


@dataclass(frozen=True, slots=True)
class Adapter:
    """One exchange: what is to know of it, who asks it by REST, who streams from it."""

    facts: Facts
    client: Callable[..., ExchangeClient]
    """Takes `rest_url`, `budget` and the options of `rest.RestClient`."""
    feed: FeedFactory
    stream_address: Callable[[str], str]
    """The address of any stream, from the exchange's WebSocket address: to see whether it can be opened."""


ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {FACTS.id: Adapter(FACTS, BinanceClient, feed.ChannelFeed, feed.stream_address)}
)
