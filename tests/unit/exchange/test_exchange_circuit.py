"""Refusals: what a response reports, how long nothing is sent, and how requests resume."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.binance.limits import read_limits, read_refusal
from exchange.circuit import Circuit, CircuitState
from exchange.limits import Refusal

NOW_MS = 1_791_383_675_000


class Hands:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def circuit(hands: Hands) -> Circuit:
    return Circuit(hands)


def test_retry_after_counts_in_seconds() -> None:
    assert read_refusal(429, "17", "", NOW_MS) == Refusal(429, 17)


def test_retry_after_may_be_a_date() -> None:
    assert read_refusal(429, "Wed, 07 Oct 2026 14:35:05 GMT", "", NOW_MS) == Refusal(429, 30)


def test_a_ban_names_its_end_in_the_body() -> None:
    body = f'{{"code":-1003,"msg":"Way too many requests; IP(192.0.2.1) banned until {NOW_MS + 150_000}. Use ..."}}'
    assert read_refusal(418, None, body, NOW_MS) == Refusal(418, 150)
    assert read_refusal(418, "60", body, NOW_MS) == Refusal(418, 150)


@pytest.mark.parametrize("status", [200, 400, 404, 408, 500, 503])
def test_other_responses_are_not_refusals(status: int) -> None:
    assert read_refusal(status, "10", "", NOW_MS) is None


@given(
    status=st.sampled_from([403, 418, 429, 451, 200]),
    headers=st.dictionaries(st.sampled_from(["Retry-After", "Date", "X-MBX-USED-WEIGHT-1M"]), st.text()),
    body=st.binary(),
)
def test_no_header_and_no_body_can_make_reading_the_limits_fail(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    read_limits(status, headers, body, NOW_MS)


def test_the_weight_header_and_the_date_are_read() -> None:
    limits = read_limits(
        200, {"X-MBX-USED-WEIGHT-1M": "1234", "Date": "Wed, 07 Oct 2026 14:34:35 GMT"}, b"[]", NOW_MS + 9
    )
    assert (limits.used_weight, limits.date_ms, limits.refusal) == (1234, NOW_MS, None)


def test_nothing_is_sent_until_the_time_named_by_the_exchange_is_over(circuit: Circuit, hands: Hands) -> None:
    circuit.refused(Refusal(429, 17), probe=False)
    assert (circuit.state, circuit.wait_ms()) == (CircuitState.OPEN, 17_000)
    hands.now_ms = 16_999
    assert circuit.state is CircuitState.OPEN
    hands.now_ms = 17_000
    assert (circuit.state, circuit.wait_ms()) == (CircuitState.HALF_OPEN, 0)


def test_an_answered_probe_closes_the_circuit(circuit: Circuit, hands: Hands) -> None:
    circuit.refused(Refusal(403, None), probe=False)
    hands.now_ms = circuit.wait_ms()
    circuit.begin_probe()
    assert circuit.probing
    circuit.answered(probe=True)
    assert (circuit.state, circuit.probing, circuit.status) == (CircuitState.CLOSED, False, None)


def test_a_response_from_before_the_refusal_does_not_close_it(circuit: Circuit) -> None:
    circuit.refused(Refusal(418, None), probe=False)
    circuit.answered(probe=False)
    assert circuit.state is CircuitState.OPEN


def test_each_refused_probe_doubles_the_wait_up_to_half_an_hour(circuit: Circuit, hands: Hands) -> None:
    circuit.refused(Refusal(403, None), probe=False)
    waits = []
    for _ in range(7):
        waits.append(circuit.wait_ms() // 1000)
        hands.now_ms += circuit.wait_ms()
        circuit.begin_probe()
        circuit.refused(Refusal(403, None), probe=True)
    assert waits == [60, 120, 240, 480, 960, 1800, 1800]
    assert circuit.opened_total == 1


def test_a_burst_of_refusals_counts_as_one(circuit: Circuit, hands: Hands) -> None:
    for _ in range(20):
        hands.now_ms += 10
        circuit.refused(Refusal(403, None), probe=False)
    assert (circuit.wait_ms(), circuit.opened_total) == (60_000, 1)


def test_a_shorter_wait_does_not_replace_a_longer_one(circuit: Circuit) -> None:
    circuit.refused(Refusal(418, 300), probe=False)
    circuit.refused(Refusal(429, 5), probe=False)
    assert circuit.wait_ms() == 300_000


def test_a_probe_without_an_answer_is_repeated_after_a_moment(circuit: Circuit, hands: Hands) -> None:
    circuit.refused(Refusal(429, 10), probe=False)
    hands.now_ms = 10_000
    circuit.begin_probe()
    circuit.lost(probe=True)
    assert (circuit.state, circuit.wait_ms(), circuit.probing) == (CircuitState.OPEN, 5_000, False)


@pytest.mark.parametrize(("named", "seconds"), [(0, 1), (-20, 1), (10**9, 3 * 86_400)])
def test_an_implausible_time_is_bounded(circuit: Circuit, named: float, seconds: int) -> None:
    circuit.refused(Refusal(429, named), probe=False)
    assert circuit.wait_ms() == seconds * 1000
