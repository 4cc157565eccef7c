"""The gateway's HTTP server: the exchange's routes for bots, and /metrics, /healthz, /readyz for operators."""

import logging
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from exchange.binance import limits
from gateway.api.answers import Answer, Handler, Refused, not_now
from gateway.config import Network
from service.http import application

log = logging.getLogger(__name__)

GZIP_FROM_BYTES = 1024
_GZIP_WINDOW_BITS = 31
_GZIP_LEVEL = 1

_LATENCY_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

SIGNED = (
    "marketdata gateway: signed requests are refused, API keys must not be sent here. Leave urls.api.fapiPrivate and "
    "all other private URLs as they are; only urls.api.fapiPublic points to the gateway."
)
NOT_ALLOWED = "marketdata gateway: this address is not in any of the networks of gateway.allow."

BOTS = "/bots/"
MOST_BOTS = 500
_BY_NAME = re.compile(rf"{BOTS}(?P<bot>[A-Za-z0-9._-]{{1,128}})(?P<path>/.*)")

_OTHER_APIS = {
    "/api/": "urls.api.public",
    "/sapi/": "urls.api.sapi",
    "/dapi/": "urls.api.dapiPublic",
    "/papi/": "urls.api.papi",
    "/eapi/": "urls.api.eapiPublic",
    "/futures/data/": "urls.api.fapiData",
}


class Web:
    """Dispatches requests to handlers by path; its metrics are in `registry`."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        registry: CollectorRegistry,
        *,
        not_ready: Callable[[], list[str]],
        used_weight: Callable[[], int],
        allow: Sequence[Network] = (),
    ) -> None:
        self._handlers = handlers
        self._registry = registry
        self._not_ready = not_ready
        self._used_weight = used_weight
        self._allow = allow
        self._allowed: dict[str, bool] = {}
        self._draining = False
        self._bots: set[str] = set()
        self.requests = Counter(
            "marketdata_gateway_requests",
            "Requests answered, by route (`other` for those refused as unknown) and HTTP status.",
            ["route", "status"],
            registry=registry,
        )
        self.bot_requests = Counter(
            "marketdata_gateway_bot_requests",
            f"Requests under a bot's path, {BOTS}NAME/fapi/v1/..., counted when they arrive, by name (`other` beyond "
            f"{MOST_BOTS} names), without those refused as unknown or not allowed; diagnostic.",
            ["bot"],
            registry=registry,
        )
        self.seconds = Histogram(
            "marketdata_gateway_request_seconds",
            "From the request's head to the response, including time held at a close.",
            ["route"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.weight = Counter(
            "marketdata_gateway_asked_weight",
            "Request weight that the exchange would have charged the bots for what was answered.",
            ["route"],
            registry=registry,
        )

    def application(self) -> web.Application:
        """Return the application."""
        return application(
            self._registry,
            web.route("*", "/{path:.*}", self._serve),
            not_ready=lambda: ["stopping"] if self._draining else self._not_ready(),
        )

    def drain(self) -> None:
        """From now on /readyz refuses, and every response asks the client to come back on a new connection."""
        self._draining = True

    async def _serve(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        named = _BY_NAME.fullmatch(request.path)
        path = named["path"] if named else request.path
        handler = self._handlers.get(path)
        route = "other" if handler is None else path
        try:
            self._may_ask(request, handler, path)
            assert handler is not None
            if named:
                self._count(named["bot"])
            answer = await handler(request.query)
            if route in limits.ROUTES:
                self.weight.labels(route).inc(limits.weight(route, request.query))
            response = self._response(request, answer)
        except Refused as refusal:
            response = _refusal(refusal)
        except Exception:
            log.exception('request failed path="%s"', request.path_qs)
            response = _refusal(not_now("internal error, see its log", 5))
        response.headers["X-MBX-USED-WEIGHT-1M"] = str(self._used_weight())
        if self._draining:
            response.force_close()
        self.requests.labels(route, response.status).inc()
        self.seconds.labels(route).observe(time.perf_counter() - began)
        return response

    def _count(self, bot: str) -> None:
        """Count on arrival, not when answered: what an ended bot left behind must not count for its successor."""
        if bot not in self._bots and len(self._bots) < MOST_BOTS:
            self._bots.add(bot)
        self.bot_requests.labels(bot if bot in self._bots else "other").inc()

    def _may_ask(self, request: web.Request, handler: Handler | None, path: str) -> None:
        if self._allow and not self._is_allowed(request.remote or ""):
            raise Refused(401, -2015, NOT_ALLOWED)
        if "signature" in request.query:
            raise Refused(401, -2015, SIGNED)
        if handler is None:
            raise Refused(404, -5000, self._unknown(path))
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, -1000, SIGNED)

    def _is_allowed(self, remote: str) -> bool:
        if remote not in self._allowed:
            if len(self._allowed) > 10_000:
                self._allowed.clear()
            address = ip_address(remote.partition("%")[0])
            self._allowed[remote] = any(address in network for network in self._allow)
        return self._allowed[remote]

    def _unknown(self, path: str) -> str:
        for prefix, key in _OTHER_APIS.items():
            if path.startswith(prefix):
                return f"marketdata gateway: {path} is not served here. Leave {key} as it is."
        served = " ".join(sorted(path.rpartition("/v1/")[2] for path in self._handlers if path.startswith("/fapi/")))
        return (
            f"marketdata gateway: {path} is not served here. Served under /fapi/v1/: {served}. For orders and "
            "accounts, leave urls.api.fapiPrivate as it is."
        )

    def _response(self, request: web.Request, answer: Answer) -> web.Response:
        headers = {"Content-Type": "application/json"}
        if answer.age_ms is not None:
            headers["X-Data-Age-Ms"] = str(answer.age_ms)
        if answer.state is not None:
            headers["X-Data-State"] = answer.state
        body = answer.body
        if len(body) >= GZIP_FROM_BYTES and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = _gzipped(answer)
        return web.Response(body=body, status=answer.status, headers=headers)


def _refusal(refusal: Refused) -> web.Response:
    headers = {"Content-Type": "application/json"}
    if refusal.retry_after_seconds is not None:
        headers["Retry-After"] = str(refusal.retry_after_seconds)
    return web.Response(body=refusal.body, status=refusal.status, headers=headers)


def _gzipped(answer: Answer) -> bytes:
    packed = answer.gzipped
    if packed is None:
        return zlib.compress(answer.body, _GZIP_LEVEL, _GZIP_WINDOW_BITS)
    return packed if isinstance(packed, bytes) else packed()
