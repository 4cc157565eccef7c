"""The FreqAI strategy of examples/ as it stands there."""

from tests.clients.conftest import Served
from tools.clients import example

FUNDING_FEATURES = {"%-funding", "%-funding-mean", "%-funding-hours"}


def test_the_example_learns_from_the_stores_funding(served: Served) -> None:
    pairs = served.stack.pairs[:2]
    served.run(served.experiment.backfill(pairs, example.DAYS + 2))
    backtested = served.run(example.backtest(served.experiment, pairs))
    assert set(backtested.features) >= FUNDING_FEATURES
    assert backtested.complaints == []
