"""freqtrade as its users run it, dry-run, with the documented exchange block and nothing else."""

from tests.clients.conftest import BOTS, PAIRS, Fleet, Served
from tools.clients.experiment import STORED_ROUTES

CLOSES = 1
SYMBOLS = "/fapi/v1/exchangeInfo"
"""Asked by the gateway itself, once, as it starts."""


def test_every_candle_that_unmodified_bots_act_on_is_final_and_right(served: Served, fleet: Fleet) -> None:
    """Late and missing closing frames included: nobody is given a newer candle before the one before it is final.

    And none of it is asked of the exchange, not at their start either. How soon each candle was there is measured by
    `make clients`.
    """
    served.run(fleet.experiment.run_over_closes(fleet.bots, CLOSES))
    spent = served.run(fleet.experiment.spent())
    report = served.run(fleet.experiment.report(fleet.bots))
    judged = report.judgement
    assert report.complaints == {}
    assert (judged.wrong, judged.missed, judged.examples) == (0, 0, [])
    assert len(judged.delays) >= CLOSES * BOTS * PAIRS
    assert report.entries >= BOTS
    assert spent.requests.get("/fapi/v1/depth", 0) > 0
    asked = {route: count for route, count in spent.of(STORED_ROUTES).requests.items() if count}
    assert asked.pop(SYMBOLS, 0) <= 1
    assert asked == {}
