"""Connections, subscriptions, and the delivery of frames to subscribers.

A frame is built once for all its receivers; everything a tick sends to a connection is a single write.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from simulator import frames
from simulator.faults import Fault, Faults
from simulator.streams import Topic, parse
from simulator.universe import Instrument, Universe

MAX_STREAMS = 1024
MESSAGES_A_SECOND = 10
_BACKLOG_BYTES = 8 * 2**20  # a reader this far behind is cut off

_INTRUDERS = {
    "malformed_frame": ('{"stream":"btcusdt@kline_3m","data":{"e":"kline","E":17', None),
    "unknown_symbol_frame": (
        "nosuchusdt@markPrice@1s",
        '{"e":"markPriceUpdate","E":%d,"s":"NOSUCHUSDT","p":"1.00000000","ap":"1.00000000","P":"1.00000000",'
        '"i":"1.00000000","r":"0.00010000","T":%d,"st":1}',
    ),
    "unknown_event_frame": ("!unheardOf@arr", '{"e":"unheardOf","E":%d,"x":%d}'),
}


@dataclass(slots=True, eq=False)
class Connection:
    """A client's WebSocket. `route` is market, public or unrouted; `combined` means the envelope of /stream."""

    address: str
    route: str
    combined: bool
    transport: asyncio.Transport
    close: Callable[[int, str], None]
    opened_ms: int
    next_ping_ms: int
    pong_ms: int
    streams: dict[str, None] = field(default_factory=dict)
    pending: list[bytes] = field(default_factory=list)
    message_times: deque[int] = field(default_factory=lambda: deque(maxlen=MESSAGES_A_SECOND))

    def message_is_too_much(self, now_ms: int) -> bool:
        """Count a message from the client; return True if it is more than ten within a second."""
        times = self.message_times
        too_much = len(times) == MESSAGES_A_SECOND and now_ms - times[0] < 1000
        times.append(now_ms)
        return too_much


class Hub:
    """All connections of the server."""

    def __init__(self, universe: Universe, faults: Faults) -> None:
        self._universe = universe
        self._faults = faults
        self.connections: set[Connection] = set()
        self.topics: dict[Topic, dict[str, set[Connection]]] = {}
        self.on_topic: Callable[[Topic], None] = lambda topic: None
        self._dirty: set[Connection] = set()
        self.frames_sent = 0

    def add(self, connection: Connection) -> None:
        self.connections.add(connection)

    def remove(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self._dirty.discard(connection)
        self.unsubscribe(connection, list(connection.streams))

    def subscribe(self, connection: Connection, streams: Iterable[str]) -> bool:
        """Subscribe to every name, known or not; return False if that would be more than 1,024."""
        wanted = [name for name in streams if name and name not in connection.streams]
        if len(connection.streams) + len(set(wanted)) > MAX_STREAMS:
            return False
        for name in wanted:
            connection.streams[name] = None
            topic = parse(name, self._universe)
            if topic is None or not topic.served_on(connection.route):
                continue
            new = topic not in self.topics
            self.topics.setdefault(topic, {}).setdefault(name, set()).add(connection)
            if new:
                self.on_topic(topic)
        return True

    def unsubscribe(self, connection: Connection, streams: Iterable[str]) -> None:
        for name in streams:
            connection.streams.pop(name, None)
            topic = parse(name, self._universe)
            names = self.topics.get(topic) if topic is not None else None
            if topic is None or names is None or name not in names:
                continue
            names[name].discard(connection)
            if not names[name]:
                del names[name]
            if not names:
                del self.topics[topic]

    def forget(self, instrument: Instrument) -> None:
        """Stop delivering an instrument; its subscriptions stay and are silent."""
        for topic in [topic for topic in self.topics if topic.instrument is instrument]:
            del self.topics[topic]

    def publish(self, topic: Topic, data: str) -> None:
        """Queue an event for the subscribers of a topic until `flush`."""
        for name, connections in self.topics.get(topic, {}).items():
            if self._faults.silences_stream(name):
                continue
            plain: bytes | None = None
            enveloped: bytes | None = None
            for connection in connections:
                if connection.combined:
                    enveloped = enveloped or frames.websocket_frame(frames.combined(name, data))
                    connection.pending.append(enveloped)
                else:
                    plain = plain or frames.websocket_frame(data)
                    connection.pending.append(plain)
                self._dirty.add(connection)

    def flush(self) -> None:
        """Send everything queued, with one write per connection."""
        silent = {route: self._faults.silences_route(route) for route in {item.route for item in self._dirty}}
        for connection in self._dirty:
            pending, connection.pending = connection.pending, []
            if silent[connection.route] or connection.transport.is_closing():
                continue
            self.frames_sent += len(pending)
            connection.transport.write(b"".join(pending))
            if connection.transport.get_write_buffer_size() > _BACKLOG_BYTES:
                connection.transport.abort()
        self._dirty.clear()

    def answer(self, connection: Connection, message: dict[str, Any]) -> None:
        """Respond to a client's request at once."""
        connection.transport.write(
            frames.websocket_frame(json.dumps(message, ensure_ascii=False, separators=(",", ":")))
        )

    def act(self, fault: Fault, now_ms: int) -> None:
        """Apply a timed fault to the connections of its route."""
        route = fault.parameters["route"]
        for connection in [item for item in self.connections if route in ("all", item.route)]:
            if fault.kind == "close_connections":
                if fault.parameters["code"] == 1006:
                    connection.transport.abort()
                else:
                    connection.close(fault.parameters["code"], "")
                continue
            stream, data = _INTRUDERS[fault.kind]
            if data is None:
                text = stream
            else:
                data %= (now_ms, now_ms)
                text = frames.combined(stream, data) if connection.combined else data
            connection.pending.append(frames.websocket_frame(text))
            self._dirty.add(connection)

    def cut(self) -> None:
        """Abort every connection."""
        for connection in list(self.connections):
            connection.transport.abort()
