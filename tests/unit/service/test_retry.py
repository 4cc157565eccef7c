"""Retries: only after the given errors, and only until the patience is over."""

import pytest

from service.retry import patiently


async def test_a_result_is_returned_at_once() -> None:
    async def ask() -> str:
        return "answer"

    assert await patiently("a question", ask, OSError) == "answer"


async def test_any_other_error_is_raised_at_once() -> None:
    async def ask() -> str:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await patiently("a question", ask, OSError)


async def test_a_patience_shorter_than_the_first_delay_raises_the_error() -> None:
    asked = []

    async def ask() -> str:
        asked.append(1)
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        await patiently("a question", ask, OSError, patience_seconds=0.5)
    assert asked == [1]
