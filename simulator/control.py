"""The control API under /_control/: faults, the log of clients' requests, and the truth.

It costs no weight and has no limits.
"""

from typing import Any

from aiohttp import web

from simulator.clock import Clock
from simulator.faults import BadFault, Faults
from simulator.hub import Hub
from simulator.intervals import INTERVALS
from simulator.limits import Limits
from simulator.rest import Rest, dumps
from simulator.universe import Universe


class Control:
    """`POST|GET|DELETE /_control/faults`, `DELETE /_control/faults/{id}`, `GET /_control/{log,truth,settled,state}`."""

    def __init__(
        self, *, faults: Faults, limits: Limits, rest: Rest, hub: Hub, universe: Universe, clock: Clock, seed: int
    ) -> None:
        self._faults = faults
        self._limits = limits
        self._rest = rest
        self._hub = hub
        self._universe = universe
        self._clock = clock
        self._seed = seed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/_control/faults", self._add_fault),
            web.get("/_control/faults", self._list_faults),
            web.delete("/_control/faults", self._clear_faults),
            web.delete("/_control/faults/{id:[0-9]+}", self._remove_fault),
            web.get("/_control/log", self._log),
            web.get("/_control/truth", self._truth),
            web.get("/_control/settled", self._settled),
            web.get("/_control/state", self._state),
        ]

    async def _add_fault(self, request: web.Request) -> web.Response:
        try:
            fault = self._faults.add(await request.json(), self._clock.now_ms())
        except BadFault as error:
            return _json({"error": str(error)}, status=400)
        except ValueError:
            return _json({"error": "the body must be a JSON object"}, status=400)
        if fault.kind == "connection_cut":
            self._hub.cut()
        return _json({"id": fault.id})

    async def _list_faults(self, request: web.Request) -> web.Response:
        return _json(self._faults.as_json())

    async def _clear_faults(self, request: web.Request) -> web.Response:
        return _json({"removed": self._faults.clear()})

    async def _remove_fault(self, request: web.Request) -> web.Response:
        if self._faults.remove(int(request.match_info["id"])):
            return _json({"removed": 1})
        return _json({"error": "no such fault"}, status=404)

    async def _log(self, request: web.Request) -> web.Response:
        return _json(self._limits.log())

    async def _truth(self, request: web.Request) -> web.Response:
        """Klines as of now, any number: `?symbol=&interval=&start=&end=` (open times, both inclusive)."""
        instrument = self._universe.get(request.query.get("symbol", ""))
        interval = request.query.get("interval", "3m")
        start, end = (request.query.get(name, "") for name in ("start", "end"))
        if (
            instrument is None
            or interval not in INTERVALS
            or not all(text.isdecimal() or not text for text in (start, end))
        ):
            return _json(
                {"error": "needs a symbol of exchangeInfo, an interval of Binance's, start and end in ms"}, status=400
            )
        rows = await self._rest.candles(
            instrument, interval, int(start) if start else None, int(end) if end else None, None
        )
        return _json(rows)

    async def _settled(self, request: web.Request) -> web.Response:
        """Rows of fundingRate as of now, any number: `?symbol=&start=&end=` (funding times, both inclusive)."""
        instrument = self._universe.get(request.query.get("symbol", ""))
        start, end = (request.query.get(name, "") for name in ("start", "end"))
        if instrument is None or not (start.isdecimal() and end.isdecimal()):
            return _json({"error": "needs a symbol of exchangeInfo, start and end in ms"}, status=400)
        return _json(await self._rest.settled(instrument, int(start), min(int(end), self._clock.now_ms())))

    async def _state(self, request: web.Request) -> web.Response:
        return _json(
            {
                "now_ms": self._clock.now_ms(),
                "start_ms": self._clock.start_ms,
                "seed": self._seed,
                "pairs": [instrument.symbol for instrument in self._universe.eligible],
                "frames_sent": self._hub.frames_sent,
                "faults": self._faults.as_json(),
                "connections": [
                    {
                        "address": connection.address,
                        "route": connection.route,
                        "opened_ms": connection.opened_ms,
                        "streams": len(connection.streams),
                    }
                    for connection in self._hub.connections
                ],
            }
        )


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(text=dumps(value), status=status, content_type="application/json")
