"""A program that carries readers into other processes and event loops, each scenario with a store of its own name.

python -m tests.contract.reader_scenarios URL TOKEN_FILE
"""

import asyncio
import copy
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from joblib import Parallel, delayed

from marketdata.reader import AsyncMarketData, MarketData, Store


def pickled(store: Store) -> None:
    carried(MarketData(store)).pairs()


def pickled_after_use(store: Store) -> None:
    market = MarketData([store])
    market.pairs()
    carried(market).pairs()


def copied_deeply(store: Store) -> None:
    market = MarketData(store)
    market.pairs()
    copy.deepcopy({"market": market})["market"].pairs()


def forked_before_use(store: Store) -> None:
    market = MarketData(store)
    in_child(market.pairs)
    market.pairs()


def forked_after_use(store: Store) -> None:
    market = MarketData(store)
    market.pairs()
    in_child(market.pairs)
    market.pairs()


def forked_twice(store: Store) -> None:
    market = MarketData(store)
    market.pairs()
    in_child(lambda: in_child(market.pairs))


def forked_after_a_close(store: Store) -> None:
    market = MarketData(store)
    market.pairs()
    market.close()
    in_child(market.pairs)


def worker_of_a_pool(store: Store) -> None:
    market = MarketData(store)
    market.pairs()
    with ProcessPoolExecutor(1) as pool:
        pool.submit(market.pairs).result()


def async_pickled(store: Store) -> None:
    asyncio.run(ask(carried(AsyncMarketData(store))))


def async_copied_deeply(store: Store) -> None:
    async def both(market: AsyncMarketData) -> None:
        await market.pairs()
        await copy.deepcopy(market).pairs()

    asyncio.run(both(AsyncMarketData(store)))


def async_in_two_loops(store: Store) -> None:
    market = AsyncMarketData(store)
    asyncio.run(ask(market))
    asyncio.run(ask(market))


def async_forked_after_use(store: Store) -> None:
    market, loop = AsyncMarketData(store), asyncio.new_event_loop()
    loop.run_until_complete(ask(market))
    in_child(lambda: asyncio.run(ask(market)))
    loop.run_until_complete(ask(market))


class Strategy:
    """Of __main__: workers get it by value, as those of freqtrade hyperopt do."""

    def __init__(self, market: MarketData) -> None:
        self.market = market

    def populate(self) -> list[str]:
        return self.market.pairs()


def workers_of_joblib(store: Store) -> None:
    strategy = Strategy(MarketData(store))
    pairs = strategy.populate()
    assert Parallel(n_jobs=2)([delayed(strategy.populate)()] * 2) == [pairs, pairs]


SCENARIOS: tuple[Callable[[Store], None], ...] = (
    pickled,
    pickled_after_use,
    copied_deeply,
    forked_before_use,
    forked_after_use,
    forked_twice,
    forked_after_a_close,
    worker_of_a_pool,
    async_pickled,
    async_copied_deeply,
    async_in_two_loops,
    async_forked_after_use,
    workers_of_joblib,  # last: it leaves threads behind
)


def carried[T](market: T) -> T:
    """As another process gets it."""
    there: T = pickle.loads(pickle.dumps(market))  # noqa: S301 - made here
    return there


async def ask(market: AsyncMarketData) -> None:
    await market.pairs()


def in_child(work: Callable[[], object]) -> None:
    """Fork, work in the child, and wait for it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status}"


def main(url: str, token_file: str) -> None:
    for scenario in SCENARIOS:
        try:
            scenario(Store(f"{url}/{scenario.__name__}", token_file=token_file))
        except Exception as error:  # noqa: BLE001 - each scenario is one test
            print(f"{scenario.__name__}: {error!r}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
