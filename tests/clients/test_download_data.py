"""`freqtrade download-data` of 30 days from the gateway."""

from tests.clients.conftest import DAYS, FILLED, Served

TIMEFRAMES = 2


def test_thirty_days_of_candles_marks_and_funding_are_exact_and_come_from_the_store(filled: Served) -> None:
    """But for freqtrade's question which candle of each pair is its oldest: the exchange is asked that once."""
    pairs = filled.stack.pairs[:FILLED]
    downloaded, compared, spent = filled.run(filled.experiment.download("first-download", pairs, DAYS))
    assert downloaded.complaints == []
    assert {name: comparison.examples for name, comparison in compared.items() if not comparison.exact} == {}
    assert spent.requests.get("/fapi/v1/klines", 0) <= 2 * TIMEFRAMES * FILLED
    assert spent.requests.get("/fapi/v1/markPriceKlines", 0) <= 2 * FILLED

    downloaded, compared, spent = filled.run(filled.experiment.download("next-download", pairs, DAYS))
    assert downloaded.complaints == []
    assert {name: comparison.examples for name, comparison in compared.items() if not comparison.exact} == {}
    assert spent.requests == {}
