"""The FreqAI strategy of examples/ as it stands there, in one process and in the workers of hyperopt."""

from tests.clients.conftest import DAYS, Served
from tools.clients import example

FUNDING_FEATURES = {"%-funding", "%-funding-mean", "%-funding-hours"}


def test_the_example_learns_from_the_stores_funding(filled: Served) -> None:
    assert example.DAYS + 2 <= DAYS
    backtested = filled.run(example.backtest(filled.experiment, filled.stack.pairs[:2]))
    assert set(backtested.features) >= FUNDING_FEATURES
    assert backtested.complaints == []


def test_the_example_is_optimized_by_two_processes(filled: Served) -> None:
    epochs = 4
    assert filled.run(example.hyperopt(filled.experiment, filled.stack.pairs[:2], epochs=epochs, jobs=2)) == epochs
