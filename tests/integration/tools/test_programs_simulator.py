"""The simulator that tests start is a process of its own, ready when the fixture returns, gone when the test ends."""

from collections.abc import Callable

from tests.integration.servers import Simulator


def symbols(simulator: Simulator) -> list[str]:
    return [row["symbol"] for row in simulator.fetch("/fapi/v1/exchangeInfo")["symbols"]]


def test_the_simulator_answers_over_tls(simulator: Simulator) -> None:
    assert simulator.websocket_url.startswith("wss://")
    assert "BTCUSDT" in symbols(simulator)


def test_its_faults_can_be_listed_and_cleared(simulator: Simulator) -> None:
    simulator.fetch("/_control/faults")
    assert "removed" in simulator.fetch("/_control/faults", method="DELETE")


def test_a_test_starts_as_many_simulators_as_it_needs(start_simulator: Callable[..., Simulator]) -> None:
    small, large = start_simulator("--pairs", "4"), start_simulator("--pairs", "16")
    assert small.url != large.url
    assert len(symbols(small)) < len(symbols(large))
