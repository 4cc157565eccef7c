"""HTTP client for the InfluxDB 2 that is backed up or restored."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from .errors import BackupError

TIMEOUT_SECONDS = 600.0  # counting several years takes a minute
BLOCK_BYTES = 1 << 20
METADATA = "/api/v2/backup/metadata"


class Server:
    """Requests to one server, with an all-access token. Each raises BackupError if it fails.

    ca_file (PEM) is trusted in addition to the system's CAs. Raises BackupError if it cannot be read.
    """

    def __init__(self, url: str, token: str = "", *, ca_file: Path | None = None) -> None:
        self.url = url
        self.token = token
        self._parts = urlsplit(url)
        self._context = _trust(ca_file)

    def json(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        """Send a request and return the decoded body; None if there is none."""
        target = f"{path}?{urlencode(params)}" if params else path
        data = None if body is None else json.dumps(body).encode()
        with self._answer(method, target, data, {"Content-Type": "application/json"}) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def buckets(self) -> list[dict[str, Any]]:
        """Return the server's description of every user bucket and its shards, as a restore needs it.

        The same response contains the server's database with all tokens; that part is discarded.
        """
        with self._answer("GET", METADATA, None, {}) as answer:
            header = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
            parts = message_from_bytes(header + answer.read())
        for part in parts.walk():
            if part.get_param("name", header="Content-Disposition") == "buckets":
                buckets: list[dict[str, Any]] = json.loads(part.get_payload(decode=True))  # type: ignore[arg-type]
                return [bucket for bucket in buckets if not bucket["bucketName"].startswith("_")]
        raise BackupError(f"{self.url}: GET {METADATA}: the response has no part `buckets`")

    def query(self, bucket: str, influxql: str) -> Any:
        """Return the series of an InfluxQL statement."""
        body = urlencode({"db": bucket, "q": influxql, "epoch": "ms"}).encode()
        with self._answer("POST", "/query", body, {"Content-Type": "application/x-www-form-urlencoded"}) as answer:
            result = json.load(answer)["results"][0]
        if "error" in result:
            raise BackupError(f"{self.url}: {bucket}: {influxql}: {result['error']}")
        return result.get("series", [])

    def rows(self, bucket: str, influxql: str) -> Iterator[bytes]:
        """Yield the CSV lines of the statement's result as they arrive, without the header lines."""
        body = urlencode({"db": bucket, "q": influxql, "epoch": "ns", "chunked": "true"}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/csv"}
        with self._answer("POST", "/query", body, headers) as answer:
            yield from (line for line in answer if not line.startswith(b"name,tags,") and line != b"\n")

    def download(self, path: str, file: Path) -> None:
        """Write the response body to a new file."""
        with self._answer("GET", path, None, {}) as answer, file.open("xb") as target:
            while block := answer.read(BLOCK_BYTES):
                target.write(block)

    def upload(self, path: str, file: Path) -> None:
        """Upload a file unchanged."""
        with file.open("rb") as source:
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
            with self._answer("POST", path, source, headers) as answer:
                answer.read()

    @contextmanager
    def _answer(
        self, method: str, target: str, body: Any, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        path = target.partition("?")[0]
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                said = answer.read(500).decode(errors="replace").strip()
                raise BackupError(f"{self.url}: {method} {path}: {answer.status} {said}")
            yield answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BackupError(f"{self.url}: {method} {path}: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # includes ssl.SSLError
            raise BackupError(f"{ca_file}: contains no readable certificate: {error}") from error
    return context
