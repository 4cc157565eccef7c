"""Asking again: only after the errors named, and only until the patience ends."""

import pytest

from service.retry import patiently


async def test_an_answer_is_returned_at_once() -> None:
    async def ask() -> str:
        return "answer"

    assert await patiently("a question", ask, OSError) == "answer"


async def test_an_error_that_is_not_named_is_raised_at_once() -> None:
    async def ask() -> str:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await patiently("a question", ask, OSError)


async def test_who_has_no_patience_for_the_first_delay_gets_the_error() -> None:
    asked = []

    async def ask() -> str:
        asked.append(1)
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await patiently("a question", ask, OSError, patience_seconds=0.5)
    assert asked == [1]
