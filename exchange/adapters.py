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
    """One exchange: its facts, its REST client, its feed."""

    facts: Facts
    client: Callable[..., ExchangeClient]
    """Takes `rest_url`, `budget` and the options of `rest.RestClient`."""
    feed: FeedFactory
    stream_address: Callable[[str], str]
    """Returns the address of some stream, given the WebSocket address: to check whether it can be opened."""


ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {FACTS.id: Adapter(FACTS, BinanceClient, feed.ChannelFeed, feed.stream_address)}
)
