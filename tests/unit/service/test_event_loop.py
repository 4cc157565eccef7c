"""uvloop is used only if it works."""

import asyncio
from typing import Any

import pytest
import uvloop

from service.event_loop import loop_factory


def test_a_loop_that_works_is_chosen() -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(asyncio.sleep(0, "done")) == "done"
        assert isinstance(runner.get_loop(), uvloop.Loop)


def test_a_uvloop_that_does_not_start_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("There is no current event loop")

    monkeypatch.setattr(uvloop, "new_event_loop", broken)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(asyncio.sleep(0, "done")) == "done"
        assert not isinstance(runner.get_loop(), uvloop.Loop)
