"""An HTTP server on the control host, for the hosts of the lab."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def listening(address: str, handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer by `handler` for the length of the block; yield the URL."""
    with ThreadingHTTPServer((address, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
