"""A single TLS port for REST, WebSocket and control API."""

import asyncio
import ssl
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from simulator.candles import CandleStore
from simulator.clock import Clock
from simulator.control import Control
from simulator.faults import Fault, Faults
from simulator.funding import Funding
from simulator.hub import Hub
from simulator.intervals import window_open
from simulator.limits import Limits, Verdict
from simulator.live import TICK_MS, Live
from simulator.market import DAY_MS, Market
from simulator.marks import MarkPrices
from simulator.params import ApiError
from simulator.pulse import Pulse
from simulator.rest import Rest, Route, dumps
from simulator.stream import StreamServer
from simulator.tape import Tape
from simulator.universe import Universe

# The body of a refusal by CloudFront: HTML where a client expects JSON.
CLOUDFRONT_HTML = """<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">
<HTML><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=iso-8859-1">
<TITLE>ERROR: The request could not be satisfied</TITLE>
</HEAD><BODY>
<H1>403 ERROR</H1>
<H2>The request could not be satisfied.</H2>
<HR noshade size="1px">
Request blocked.
</BODY></HTML>
"""
_BODIES = {
    418: (-1003, "Way too many requests; IP banned. Please use the websocket for live updates to avoid bans."),
    429: (-1003, "Too many requests; current limit of IP is 2400 requests per minute."),
    408: (-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    451: (0, "Service unavailable from a restricted location according to 'b. Eligibility' in the terms."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
}
_GZIP_FROM_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """Command line options; durations in seconds."""

    host: str
    port: int
    pairs: int = 164
    bases: tuple[str, ...] = ()
    seed: int = 1
    start_ms: int | None = None
    ping_seconds: float = 180.0
    pong_seconds: float = 600.0
    life_seconds: float = 86_400.0
    kline_every_ms: int | None = None


class Simulator:
    """The exchange: create, `start` and `stop` it in a running event loop."""

    def __init__(self, options: Options, context: ssl.SSLContext) -> None:
        self._options = options
        self._context = context
        self._clock = Clock(options.start_ms)
        self._universe = Universe(
            pairs=options.pairs, seed=options.seed, start_ms=self._clock.start_ms, bases=options.bases
        )
        self._faults = Faults()
        self._limits = Limits()
        self._store = CandleStore(Market(options.seed))
        tape, marks = Tape(self._store), MarkPrices(self._store.market)
        self._funding = Funding(options.seed)
        self._hub = Hub(self._universe, self._faults)
        self._rest = Rest(
            universe=self._universe,
            store=self._store,
            tape=tape,
            marks=marks,
            funding=self._funding,
            faults=self._faults,
            clock=self._clock,
        )
        now = self._clock.now_ms()
        self._pulse = Pulse(
            universe=self._universe, tape=tape, marks=marks, funding=self._funding, hub=self._hub, now_ms=now
        )
        self._live = Live(
            store=self._store,
            tape=tape,
            hub=self._hub,
            faults=self._faults,
            now_ms=now,
            kline_every_ms=options.kline_every_ms,
        )
        self._streams = StreamServer(
            hub=self._hub,
            faults=self._faults,
            limits=self._limits,
            clock=self._clock,
            ping_seconds=options.ping_seconds,
            pong_seconds=options.pong_seconds,
            life_seconds=options.life_seconds,
        )
        self._control = Control(
            faults=self._faults,
            limits=self._limits,
            rest=self._rest,
            hub=self._hub,
            universe=self._universe,
            clock=self._clock,
            seed=options.seed,
        )
        self._requests = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Start serving; returns the port. Raises OSError if it is in use."""
        self._warm_up()
        app = web.Application(middlewares=[self._cut])
        app.on_response_prepare.append(self._date)
        app.add_routes([web.get(route.path, self._rest_handler(route)) for route in self._rest.routes()])
        app.add_routes(self._streams.routes())
        app.add_routes(self._control.routes())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, max_line_size=32_768)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._options.host, self._options.port, ssl_context=self._context)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def run(self) -> None:
        """The heartbeat: a tick every 250 ms of the exchange's clock, forever."""
        while True:
            now = self._clock.now_ms()
            for fault in self._faults.due(now):
                if fault.kind in ("listing", "delisting"):
                    self._change_universe(fault, now)
                elif fault.kind == "funding_interval":
                    chosen = fault.parameters
                    self._funding.change(chosen["symbol"].upper(), chosen["hours"], chosen["at_ms"] or now)
                else:
                    self._hub.act(fault, now)
            self._live.tick(now)
            self._pulse.tick(now)
            self._streams.watch(now)
            self._hub.flush()
            await asyncio.sleep((TICK_MS - self._clock.now_ms() % TICK_MS) / 1000)

    async def stop(self) -> None:
        self._hub.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    def _change_universe(self, fault: Fault, now_ms: int) -> None:
        symbol, at_ms = fault.parameters["symbol"].upper(), fault.parameters["at_ms"] or now_ms
        if self._universe.get(symbol) is None:
            return
        if fault.kind == "listing":  # contracts start at a full quarter of an hour, never within a 3m candle
            before = self._universe.begin(symbol, window_open("3m", at_ms))
        else:
            before = self._universe.end(symbol, fault.parameters["status"], at_ms)
        self._hub.forget(before)

    def _warm_up(self) -> None:
        """Compute today's candles, so that the first client does not have to wait for them."""
        today = self._clock.now_ms() // DAY_MS
        for instrument in self._universe.instruments:
            if instrument.trades:
                self._store.load_day(instrument.shape, today)

    @web.middleware
    async def _cut(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/_control/") and self._faults.first("connection_cut") is not None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        response: web.StreamResponse = await handler(request)
        return response

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Set the Date header from the exchange's own clock, as its servers do: clients derive the minute from it."""
        response.headers["Date"] = formatdate(self._clock.now_ms() / 1000, usegmt=True)

    def _rest_handler(self, route: Route) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._answer(request, route)

        return handle

    async def _answer(self, request: web.Request, route: Route) -> web.StreamResponse:
        now = self._clock.now_ms()
        self._requests += 1
        verdict = self._limits.request(
            request.remote or "", weight=route.weight(request.query), funding=route.funding, now_ms=now
        )
        if self._faults.rest("rest_hang", route.path, self._requests) is not None:
            await asyncio.get_running_loop().create_future()  # until the client gives up
        fault = self._faults.rest("rest_status", route.path, self._requests)
        if fault is not None:
            return _failure(fault.parameters["status"], fault.parameters["retry_after_seconds"])
        if verdict.status != 200:
            return self._limited(request, route, verdict)
        try:
            body, status = await route.answer(request.query), 200
        except ApiError as error:
            body, status = {"code": error.code, "msg": error.message}, error.status
        response = _json(body if isinstance(body, str) else dumps(body), status)
        if not route.funding:
            response.headers["X-MBX-USED-WEIGHT-1M"] = str(verdict.used_weight)
        return response

    def _limited(self, request: web.Request, route: Route, verdict: Verdict) -> web.Response:
        message = _BODIES[429][1]
        if verdict.status == 418:
            message = (
                f"Way too many requests; IP({request.remote}) banned until {verdict.banned_until_ms}. "
                "Please use the websocket for live updates to avoid bans."
            )
        response = _json(dumps({"code": -1003, "msg": message}), verdict.status)
        response.headers["Retry-After"] = str(verdict.retry_after_seconds)
        if not route.funding:
            response.headers["X-MBX-USED-WEIGHT-1M"] = str(verdict.used_weight)
        return response


def _json(text: str, status: int) -> web.Response:
    response = web.Response(text=text, status=status, content_type="application/json")
    if len(text) >= _GZIP_FROM_BYTES:
        response.enable_compression()  # if the client accepts it
    return response


def _failure(status: int, retry_after_seconds: int | None) -> web.Response:
    if status == 403:
        response = web.Response(text=CLOUDFRONT_HTML, status=403, content_type="text/html")
    else:
        code, message = _BODIES.get(status, (-1000, "An unknown error occurred while processing the request."))
        response = _json(dumps({"code": code, "msg": message}), status)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(retry_after_seconds)
    return response
