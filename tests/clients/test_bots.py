"""freqtrade as its users run it, dry-run, with the documented exchange block and nothing else."""

from tests.clients.conftest import BOTS, PAIRS, Served
from tools.clients.experiment import STORED_ROUTES
from tools.clients.fleet import Bot

CLOSES = 1


def test_every_candle_that_unmodified_bots_act_on_is_final_and_right(served: Served, bots: list[Bot]) -> None:
    """Late and missing closing frames included: nobody is given a newer candle before the one before it is final.

    And none of it is asked of the exchange. How soon each candle was there is measured by `make clients`.
    """
    before = served.run(served.experiment.spent())
    served.run(served.experiment.run_over_closes(bots, CLOSES))
    spent = served.run(served.experiment.spent()).since(before)
    report = served.run(served.experiment.report(bots))
    judged = report.judgement
    assert report.complaints == {}
    assert (judged.wrong, judged.missed, judged.examples) == (0, 0, [])
    assert len(judged.delays) >= CLOSES * BOTS * PAIRS
    assert report.entries >= BOTS
    assert spent.requests.get("/fapi/v1/depth", 0) > 0
    assert spent.of(STORED_ROUTES).requests == {}
