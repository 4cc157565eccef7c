"""Work is done once for all who ask meanwhile, and survives each of them."""

import asyncio

import pytest

from service.single_flight import SingleFlight


class Work:
    """Work that ends when a test lets it, and counts how often it began."""

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


async def test_all_who_ask_while_it_is_under_way_get_the_result_of_one() -> None:
    work = Work()
    tasks = [work.ask() for _ in range(5)]
    assert "a" in work.flights
    work.may_end.set()
    assert await asyncio.gather(*tasks) == [1] * 5
    assert work.began == 1


async def test_who_asks_after_the_end_begins_anew() -> None:
    work = Work()
    work.may_end.set()
    assert [await work.ask(), await work.ask()] == [1, 2]
    assert "a" not in work.flights


async def test_other_keys_are_other_work() -> None:
    work = Work()
    work.may_end.set()
    assert [await task for task in (work.ask("a"), work.ask("b"))] == [1, 2]


async def test_one_who_gives_up_ends_it_for_nobody_else() -> None:
    work = Work()
    first = asyncio.create_task(asyncio.wait({work.ask()}))
    first.cancel()
    second = work.ask()
    work.may_end.set()
    assert await second == 1


async def test_a_failure_is_seen_once_and_raised_to_all_who_wait() -> None:
    work = Work()
    one = work.flights.task("a", fail())
    other = work.flights.task("a", fail())
    for task in (one, other):
        with pytest.raises(OSError, match="away"):
            await task
    assert work.failures == [("a", "away")]
    assert "a" not in work.flights


async def test_what_is_under_way_at_the_end_is_cancelled_and_is_no_failure() -> None:
    work, unhandled = Work(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    tasks = [work.ask("a"), work.ask("b")]
    await work.flights.close()
    await asyncio.sleep(0)  # the callbacks have their turn
    assert all(task.cancelled() for task in tasks)
    assert (work.failures, unhandled) == ([], [])
