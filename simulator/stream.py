"""The WebSocket routes: handshakes, requests from clients, pings, closing connections."""

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from simulator.clock import Clock
from simulator.faults import Faults
from simulator.hub import Connection, Hub
from simulator.limits import Limits

MAX_URL_CHARACTERS = 8004
_MAX_MESSAGE_BYTES = 64 * 1024


class StreamServer:
    """Serves /market, /public and the unrouted path, each with /ws and /stream."""

    def __init__(
        self,
        *,
        hub: Hub,
        faults: Faults,
        limits: Limits,
        clock: Clock,
        ping_seconds: float,
        pong_seconds: float,
        life_seconds: float,
    ) -> None:
        self._hub = hub
        self._faults = faults
        self._limits = limits
        self._clock = clock
        self._ping_ms = int(ping_seconds * 1000)
        self._pong_ms = int(pong_seconds * 1000)
        self._life_ms = int(life_seconds * 1000)
        self._closing: set[asyncio.Task[bool]] = set()

    def routes(self) -> list[web.RouteDef]:
        result = []
        for prefix, route in (("/market", "market"), ("/public", "public"), ("", "unrouted")):
            for path, combined in (("/ws", False), ("/ws/{streams:.*}", False), ("/stream", True)):
                result.append(web.get(prefix + path, self._handler(route, combined=combined)))
        return result

    def _handler(self, route: str, *, combined: bool) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route, combined=combined)

        return handle

    async def _serve(self, request: web.Request, route: str, *, combined: bool) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(autoping=False, compress=False, timeout=2.0, max_msg_size=_MAX_MESSAGE_BYTES)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        now = self._clock.now_ms()
        connection = Connection(
            address=request.remote or "",
            route=route,
            combined=combined,
            transport=transport,
            close=lambda code, message: self._close_soon(connection, socket, code, message),
            opened_ms=now,
            next_ping_ms=now + self._ping_ms,
            pong_ms=now,
        )
        self._hub.add(connection)
        try:
            names = request.query.get("streams", "") if combined else request.match_info.get("streams", "")
            if await self._subscribe(connection, socket, names.split("/")):
                await self._read(connection, socket)
        finally:
            self._hub.remove(connection)
        return socket

    def _refusal(self, request: web.Request) -> web.Response | None:
        fault = self._faults.first("refuse_handshake")
        accepted = self._limits.connect(request.remote or "", self._clock.now_ms())
        if fault is not None:
            seconds = fault.parameters["retry_after_seconds"]
            headers = {} if seconds is None else {"Retry-After": str(seconds)}
            return web.Response(status=fault.parameters["status"], headers=headers)
        if not accepted:
            return web.Response(status=403, text="Too many connection attempts")
        if len(f"wss://{request.host}{request.raw_path}") > MAX_URL_CHARACTERS:
            return web.Response(status=414, text="URI Too Long")
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=400, text="WebSocket UPGRADE failed")
        return None

    async def _read(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            now = self._clock.now_ms()
            minute = self._limits.minute(connection.address, now)
            minute.messages += 1
            if connection.message_is_too_much(now):
                minute.messages_refused += 1
                self._hub.remove(connection)
                await socket.close(code=1008, message=b"Too many requests")
                return
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                connection.pong_ms = now
            elif message.type is WSMsgType.TEXT and not await self._request(connection, socket, message.data):
                return

    async def _request(self, connection: Connection, socket: web.WebSocketResponse, text: str) -> bool:
        """Respond to one JSON request; returns False if the connection is to be closed."""
        try:
            request = json.loads(text)
            method, number = request["method"], request.get("id")
            names = request.get("params") or []
            readable = isinstance(names, list) and all(isinstance(name, str) for name in names)
        except (ValueError, TypeError, KeyError, AttributeError):
            readable = False
        if not readable:
            self._hub.answer(
                connection, {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
            )
            return True
        if method == "SUBSCRIBE":
            if not await self._subscribe(connection, socket, names):
                return False
        elif method == "UNSUBSCRIBE":
            self._hub.unsubscribe(connection, names)
        elif method == "LIST_SUBSCRIPTIONS":
            self._hub.answer(connection, {"result": list(connection.streams), "id": number})
            return True
        else:
            self._hub.answer(
                connection, {"error": {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}, "id": number}
            )
            return True
        self._hub.answer(connection, {"result": None, "id": number})
        return True

    async def _subscribe(self, connection: Connection, socket: web.WebSocketResponse, names: list[str]) -> bool:
        minute = self._limits.minute(connection.address, self._clock.now_ms())
        if self._hub.subscribe(connection, names):
            minute.streams_max = max(minute.streams_max, len(connection.streams))
            return True
        minute.streams_refused += 1
        self._hub.answer(connection, {"error": {"code": 4, "msg": "Too many subscriptions"}})
        self._hub.remove(connection)
        await socket.close(code=1008, message=b"Invalid request")
        return False

    def watch(self, now_ms: int) -> None:
        """Send pings that are due; close connections that do not respond or have reached their 24 hours."""
        for connection in list(self._hub.connections):
            if now_ms - connection.opened_ms > self._life_ms:
                connection.close(1001, "")
            elif now_ms >= connection.next_ping_ms:
                if connection.next_ping_ms - connection.pong_ms > self._pong_ms:
                    connection.close(1008, "Pong timeout")
                    continue
                connection.next_ping_ms += self._ping_ms
                payload = str(now_ms).encode()
                connection.transport.write(bytes((0x89, len(payload))) + payload)

    def _close_soon(self, connection: Connection, socket: web.WebSocketResponse, code: int, message: str) -> None:
        self._hub.remove(connection)  # nothing may follow a close frame
        task = asyncio.get_running_loop().create_task(socket.close(code=code, message=message.encode()))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
