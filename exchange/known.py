"""All exchanges, as numbers only: their clients and feeds are in `adapters`."""

from collections.abc import Mapping
from types import MappingProxyType

from exchange.binance.facts import FACTS
from exchange.facts import Facts

DEFAULT = FACTS

EXCHANGES: Mapping[str, Facts] = MappingProxyType({facts.id: facts for facts in (FACTS,)})
"""By id."""
