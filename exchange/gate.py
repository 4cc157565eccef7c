"""The waiting side of the budget: requests queue here until the pure core grants them."""

from __future__ import annotations

import asyncio

from exchange.answers import refused
from exchange.budget import Budget, Priority, Ticket
from exchange.errors import ExchangeError
from exchange.limits import Limits

#: How long a request waits for an open circuit. If it would take longer, the caller learns at once, and decides.
PATIENCE_SECONDS = 90.0


class Gate:
    """Lets requests of one event loop through as `budget` grants them. Close it to stop its timer."""

    def __init__(self, budget: Budget, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._budget = budget
        self._patience_ms = patience_seconds * 1000
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, priority: Priority, weight: int, *, funding: bool) -> Ticket:
        """Wait until the request may be sent; every ticket returned must be handed back to `leave`.

        Raises Refused if the circuit stays open for longer than the patience, and ShareTooSmall.
        """
        ticket = self._budget.ask(priority, weight, funding=funding)
        future = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        self._pump()
        try:
            await future
        except BaseException:
            self._waiting.pop(ticket, None)
            self._budget.withdraw(ticket)
            self._pump()
            raise
        return ticket

    def leave(self, ticket: Ticket, limits: Limits | None) -> None:
        """The request is over; `limits` is None if there was no response."""
        self._budget.finish(ticket, limits)
        self._pump()

    def close(self) -> None:
        """Stop the timer. Requests still waiting fail with an ExchangeError."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for future in self._waiting.values():
            _fail(future, closed())

    def _pump(self) -> None:
        while (ticket := self._budget.grant()) is not None:
            future = self._waiting.pop(ticket)
            if future.done():
                self._budget.withdraw(ticket)
            else:
                future.set_result(None)
        self._give_up_on_long_waits()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and (wait_ms := self._budget.wait_ms()) is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1000, self._pump)

    def _give_up_on_long_waits(self) -> None:
        circuit = self._budget.circuit
        if circuit.status is None or circuit.wait_ms() <= self._patience_ms:
            return
        for future in self._waiting.values():
            _fail(future, refused(circuit.status, circuit.wait_ms() / 1000, self._budget.clock.now_ms()))


def closed() -> ExchangeError:
    """Return the error for a request to a client that is not open."""
    return ExchangeError("the exchange client is closed", "use it within its `async with`")


def _fail(future: asyncio.Future[None], error: ExchangeError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # read once, so that nothing is logged if the waiting task is being cancelled
