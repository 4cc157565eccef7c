"""A bot and its gateway that start while nobody can reach the exchange: candles are there, order books are not."""

import pytest

from tests.clients.conftest import Served
from tools.clients import fleet
from tools.clients.config import Address
from tools.clients.stack import GatewayServer
from tools.ports import HOST, free_port

pytestmark = pytest.mark.usefixtures("fleet")

ORDER_BOOK_REFUSED = "binance 429 Too Many Requests"


def test_a_bot_starts_while_the_exchange_is_down_and_is_given_right_candles(served: Served) -> None:
    """Symbols and candles come from the collector; only what would be asked of the exchange is refused."""
    experiment, stack = served.experiment, served.stack
    gateway = GatewayServer(
        "gateway-alone",
        experiment.folder,
        experiment.children,
        exchange=f"https://{HOST}:{free_port()}",
        ca_file=stack.simulated.ca_file,
        store=stack.store,
        stream=stack.collector.url,
    )
    served.run(gateway.start())
    bot = fleet.start_bot(
        experiment.children,
        experiment.interpreter,
        Address(gateway.url),
        stack.pairs,
        experiment.folder / "bot-while-down",
    )
    served.run(fleet.first_loops([bot]))
    served.run(experiment.run_bots([bot], 20))
    report = served.run(experiment.report([bot]))
    assert (report.judgement.wrong, report.judgement.examples) == (0, [])
    assert {seen.pair for seen in bot.witnessed().seen} == set(stack.pairs)
    complaints = report.complaints.get(bot.name, [])
    assert [line for line in complaints if ORDER_BOOK_REFUSED not in line] == []
    assert report.entries == 0
