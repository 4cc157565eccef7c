"""A plain HTTP server in front of the simulator's REST, for answers that the simulator itself never gives."""

import json
import threading
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.servers import Simulator

type Query = dict[str, str]
type Change = Callable[[str, Query, object], object]
"""Path, query and the simulator's answer to the answer that is given, or `Denied` raised."""


class Denied(Exception):
    """A 400 as the exchange answers it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def rest_proxy(simulator: Simulator, change: Change) -> Iterator[str]:
    """Serve on a free port while the block runs; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            split = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(split.query))
            try:
                status, answer = 200, change(split.path, query, simulator.fetch(self.path))
            except Denied as denied:
                status, answer = 400, {"code": denied.code, "msg": str(denied)}
            except urllib.error.HTTPError as refused:
                status, answer = refused.code, json.loads(refused.read())
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
