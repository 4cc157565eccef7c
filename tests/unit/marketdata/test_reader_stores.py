"""Stores and tokens, and which of several stores is used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.errors import InvalidRequest, MarketDataError, StoreUnavailable, Unauthorized
from marketdata.stores import FRESH_MS, Ranking, Store, all_failed, stores_from_env, stores_from_file

NOW = 1_790_000_000_000
THREE = [Store(f"http://store-{number}:8086", "token") for number in range(3)]


def test_a_token_is_not_shown_by_repr() -> None:
    assert "secret" not in repr(Store("http://store:8086", token="secret"))


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "store:8086", "token": "a"},
        {"url": "http://store"},
        {"url": "http://s", "token": "a", "token_file": "b"},
    ],
)
def test_a_store_needs_an_address_and_one_token(arguments: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        Store(**arguments)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", "tökén".encode(), b"\xff\x00"])
def test_a_token_file_without_a_token_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "reader.token"
    file.write_bytes(content)
    with pytest.raises(Unauthorized, match="token"):
        Store("http://store:8086", token_file=file).read_token()


def test_stores_are_read_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "reader.toml"
    file.write_text('[[store]]\nurl = "http://a"\ntoken_file = "t"\n[[store]]\nurl = "http://b"\ntoken_file = "u"\n')
    assert [(store.url, store.token_file) for store in stores_from_file(file)] == [("http://a", "t"), ("http://b", "u")]
    environ = {"MARKETDATA_URL": "http://c", "MARKETDATA_TOKEN_FILE": "v"}
    assert stores_from_env(environ) == [Store("http://c", token_file="v")]


@pytest.mark.parametrize("text", ["", "store = 1", "[[store]]", '[[store]]\nurl = "http://a"\ntokn_file = "t"', "[["])
def test_a_file_without_a_complete_store_is_refused_and_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "reader.toml"
    file.write_text(text)
    with pytest.raises(InvalidRequest, match=r"reader\.toml"):
        stores_from_file(file)
    with pytest.raises(InvalidRequest, match="MARKETDATA_URL"):
        stores_from_env({})


def ranked(*newest_ms: int | None) -> list[int]:
    ranking = Ranking(THREE[: len(newest_ms)])
    for index, value in enumerate(newest_ms):
        ranking.note(index, value, NOW)
    return ranking.order(NOW)


def test_the_first_fresh_store_answers() -> None:
    assert ranked(NOW - FRESH_MS + 1, NOW - 1, NOW - 2) == [0, 1, 2]
    assert ranked(NOW - FRESH_MS, NOW - 1, NOW - 2) == [1, 2, 0]
    assert ranked(None, 0, NOW - 2) == [2, 1, 0]


def test_if_no_store_is_fresh_the_newest_comes_first_and_failed_ones_last() -> None:
    assert ranked(NOW - 3 * FRESH_MS, None, NOW - 2 * FRESH_MS) == [2, 0, 1]


@given(st.lists(st.none() | st.integers(0, NOW), min_size=1, max_size=3))
def test_every_store_is_tried_once(newest_ms: list[int | None]) -> None:
    assert sorted(ranked(*newest_ms)) == list(range(len(newest_ms)))


def test_freshness_is_checked_every_ten_seconds_and_for_a_failed_store_every_minute() -> None:
    ranking = Ranking(THREE)
    assert ranking.due(NOW) == [0, 1, 2]
    for index, newest_ms in enumerate([NOW, None, NOW]):
        ranking.note(index, newest_ms, NOW)
    assert ranking.due(NOW + 9_999) == []
    assert ranking.due(NOW + 10_000) == [0, 2]
    assert ranking.due(NOW + 60_000) == [0, 1, 2]
    assert ranking.due(NOW - 1) == [0, 1, 2], "a clock that was set back"


def test_freshness_of_a_single_store_is_never_checked() -> None:
    assert Ranking(THREE[:1]).due(NOW) == []


def test_if_every_store_fails_the_error_lists_each_failure() -> None:
    refused, dead = Unauthorized("a refused"), StoreUnavailable("b is dead")
    assert all_failed([refused]) is refused
    assert type(all_failed([refused, Unauthorized("c refused")])) is Unauthorized
    both: MarketDataError = all_failed([refused, dead])
    assert type(both) is StoreUnavailable
    assert str(both) == "a refused; b is dead"
