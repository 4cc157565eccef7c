"""Values and errors of the library can be passed between processes: pickled and deep-copied."""

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from marketdata import errors
from marketdata.candles import frame, no_rows
from marketdata.errors import InvalidRequest, MarketDataError, UnknownPair
from marketdata.funding import FundingRate, MarkPrice
from marketdata.influxql import Query, Series
from marketdata.ohlcv import source_of
from marketdata.pairs import parse_pair
from marketdata.reader import AsyncMarketData, MarketData, Store
from marketdata.schema import MEASUREMENTS
from marketdata.serializer import Unserializable

PAIR, NOW = "BTC/USDT:USDT", datetime(2026, 1, 1, tzinfo=UTC)
VALUES = [
    Store("http://store:8086", token_file=Path("reader.token")),
    FundingRate(PAIR, 0.0001, NOW, NOW, 3.0),
    MarkPrice(PAIR, 1.0, 2.0, NOW, 3.0),
    Query("market_data", "SELECT 1", {"pair": PAIR}),
    Series(columns=["time", "close"], values=[[1.0, None]], tags={"pair": PAIR}),
    parse_pair(PAIR),
    source_of("1w"),
    MEASUREMENTS["ohlcv_3m"],
]


def pickled(value: Any, *, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - made here


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {number}": partial(pickled, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_values_survive_the_round_trip(way: Callable[[Any], Any]) -> None:
    for value in VALUES:
        assert way(value) == value
    assert way(frame(no_rows())).equals(frame(no_rows()))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_errors_keep_their_type_message_and_attributes(way: Callable[[Any], Any]) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MarketDataError)]
    plain = [kind("what to do") for kind in kinds if kind is not UnknownPair]
    assert len(plain) >= 6
    for error in plain:
        assert (type(way(error)), str(way(error))) == (type(error), "what to do")
    unknown = UnknownPair(["BTC/USDT:USDC"], [PAIR])
    unknown.add_note("of chart 3")
    copied = way(unknown)
    assert (type(copied), str(copied), copied.pairs) == (UnknownPair, str(unknown), ("BTC/USDT:USDC",))
    assert copied.__notes__ == ["of chart 3"]
    bad = way(Unserializable("time", "1 is not a time"))
    assert (type(bad), str(bad), bad.reason) == (Unserializable, "1 is not a time", "time")


@pytest.mark.parametrize("kind", [MarketData, AsyncMarketData])
def test_a_pickled_reader_has_its_configuration_but_not_the_token_in_its_file(
    tmp_path: Path, kind: type[MarketData] | type[AsyncMarketData]
) -> None:
    token = tmp_path / "reader.token"
    token.write_text("secret")
    stores = [Store("http://one:8086", token_file=token), Store("http://two:8086", token_file=token)]
    pickled = pickle.dumps(kind(stores, timeout_seconds=3.0))
    assert b"secret" not in pickled
    again = pickle.loads(pickled)  # noqa: S301 - made two lines above
    assert type(again) is kind
    assert again._stores == stores
    assert again._connections._timeout_seconds == 3.0


def test_a_certificate_missing_in_the_other_process_is_named_on_first_use(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    with MarketData(Store("https://store:8086", token="t", ca_file=ca_file)) as market:
        pickled = pickle.dumps(market)
    ca_file.unlink()
    with pickle.loads(pickled) as again, pytest.raises(InvalidRequest, match=r"ca\.pem"):  # noqa: S301
        again.pairs()
