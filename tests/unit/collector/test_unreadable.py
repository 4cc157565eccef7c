"""Unreadable rows are logged in one line that names all of them, when they change and not with each response."""

import logging

import pytest

from collector.feed.unreadable import Unreadable, described
from exchange.universe import InvalidRow

A, B = InvalidRow("AUSDT", "has no underlyingType"), InvalidRow("BUSDT", "has no underlyingType")
C = InvalidRow("C\nUSDT", "has a name that makes no pair: ('C\\n', 'USDT', 'USDT')")


def test_all_are_named_by_reason_in_one_printable_line() -> None:
    line = described([C, B, A, InvalidRow("", "is not an object")])
    assert "AUSDT, BUSDT (has no underlyingType)" in line
    assert "'C\\nUSDT' (has a name that makes no pair" in line
    assert "a row without a name (is not an object)" in line
    assert line.isprintable()


def test_they_are_logged_once_per_change_and_so_is_their_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    unreadable = Unreadable()
    told = []
    for rows in ((), (), (A,), (A,), (B, A), (A, B), (A, B), (B,), (), ()):
        caplog.clear()
        unreadable.learn(rows)
        assert unreadable.rows == rows
        told.append([record.levelname for record in caplog.records])
    assert told == [[], [], ["WARNING"], [], ["WARNING"], [], [], ["WARNING"], ["INFO"], []]
