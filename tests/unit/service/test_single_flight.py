"""Work is done once for everyone who asks in the meantime, and outlives each of them."""

import asyncio

import pytest

from service.single_flight import SingleFlight


class Work:
    """Work that ends when a test lets it, and counts how often it was started."""

    def __init__(self) -> None:
        self.began = 0
        self.may_end = asyncio.Event()
        self.failures: list[tuple[str, str]] = []
        self.flights = SingleFlight[str, int](lambda key, error: self.failures.append((key, str(error))))

    def ask(self, key: str = "a") -> asyncio.Task[int]:
        return self.flights.task(key, self._run())

    async def _run(self) -> int:
        self.began += 1
        number = self.began
        await self.may_end.wait()
        return number


async def fail() -> int:
    raise OSError("away")


async def test_all_callers_during_the_work_share_its_result() -> None:
    work = Work()
    tasks = [work.ask() for _ in range(5)]
    assert "a" in work.flights
    work.may_end.set()
    assert await asyncio.gather(*tasks) == [1] * 5
    assert work.began == 1


async def test_a_caller_after_the_end_starts_new_work() -> None:
    work = Work()
    work.may_end.set()
    assert [await work.ask(), await work.ask()] == [1, 2]
    assert "a" not in work.flights


async def test_different_keys_are_different_work() -> None:
    work = Work()
    work.may_end.set()
    assert [await task for task in (work.ask("a"), work.ask("b"))] == [1, 2]


async def test_a_caller_who_gives_up_does_not_end_the_work_for_others() -> None:
    work = Work()
    first = asyncio.create_task(asyncio.wait({work.ask()}))
    first.cancel()
    second = work.ask()
    work.may_end.set()
    assert await second == 1


async def test_a_failure_is_reported_once_and_raised_to_all_waiters() -> None:
    work = Work()
    one = work.flights.task("a", fail())
    other = work.flights.task("a", fail())
    for task in (one, other):
        with pytest.raises(OSError, match="away"):
            await task
    assert work.failures == [("a", "away")]
    assert "a" not in work.flights


async def test_closing_cancels_work_in_progress_and_reports_no_failure() -> None:
    work, unhandled = Work(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    tasks = [work.ask("a"), work.ask("b")]
    await work.flights.close()
    await asyncio.sleep(0)  # lets the callbacks run
    assert all(task.cancelled() for task in tasks)
    assert (work.failures, unhandled) == ([], [])
