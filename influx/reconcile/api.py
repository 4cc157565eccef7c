"""InfluxDB 2's HTTP API, as far as the reconcile needs it.

http.client and not urllib: no proxy from the environment, no redirect that would carry the token elsewhere, and
connecting is apart from sending, so that only what certainly never arrived is sent again.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from .desired import Bucket
from .errors import ApiError, InvalidInput, ReconcileError, Unreachable
from .observed import Observed, ObservedBucket, ObservedTask, ObservedToken, TokenFile

SPEAKS_TLS = b"Client sent an HTTP request to an HTTPS server"  # how Go's servers answer one that does not
PAGE = 100  # the most that /buckets gives at once; the default is 20


class Api:
    """One server.

    ca_file (PEM) is trusted besides the system's authorities. Raises InvalidInput, Unreachable (no connection within
    connect_attempts, no answer within timeout_seconds) and ApiError (an error status).
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        ca_file: Path | None = None,
        timeout_seconds: float = 30,
        connect_attempts: int = 4,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self.token = token
        self._parts = _address(url)
        self._context = _trust(ca_file)
        self._timeout_seconds = timeout_seconds
        self._connect_attempts = connect_attempts
        self._wait = wait

    def get(self, path: str, **params: str | int) -> Any:
        return self._call("GET", path, params, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, {}, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("PATCH", path, {}, body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path, {}, None)

    def pages(self, path: str, key: str, **params: str | int) -> Iterator[Mapping[str, Any]]:
        """Every entry of a paged listing, by the id of the last one seen."""
        after: dict[str, str] = {}
        while True:
            page = self.get(path, limit=PAGE, **params, **after)[key]
            yield from page
            if len(page) < PAGE:
                return
            after = {"after": page[-1]["id"]}

    def _call(self, method: str, path: str, params: Mapping[str, str | int], body: Mapping[str, Any] | None) -> Any:
        connection = self._connect()
        try:
            headers = {"Content-Type": "application/json"}
            if self.token:
                headers["Authorization"] = f"Token {self.token}"
            target = self._parts.path.rstrip("/") + path + (f"?{urlencode(params)}" if params else "")
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.url}: no answer to {method} {path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if status == 400 and content.startswith(SPEAKS_TLS):
            raise Unreachable(f"{self.url}: the server speaks TLS: name it https://")
        answer = _json(content)
        if status >= 400:
            raise ApiError(status, f"{self.url}: {method} {path}: {status} {_message(answer)}{_hint(status)}")
        return answer

    def _connect(self) -> http.client.HTTPConnection:
        """An open connection; a server that is just starting gets a few seconds."""
        cause: OSError | None = None
        for attempt in range(self._connect_attempts):
            if attempt:
                self._wait(0.5 * 2 ** (attempt - 1))
            try:
                connection = self._connection()
                connection.connect()
            except OSError as error:
                cause = error
            else:
                return connection
        raise Unreachable(f"{self.url}: cannot connect: {cause}; is influxd running there?") from cause

    def _connection(self) -> http.client.HTTPConnection:
        host, port, seconds = self._parts.hostname or "", self._parts.port, self._timeout_seconds
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=seconds, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=seconds)


def is_fresh(api: Api) -> bool:
    """Whether nobody has set the server up yet."""
    answer = api.get("/api/v2/setup")
    if not isinstance(answer, Mapping) or "allowed" not in answer:
        raise ReconcileError(f"{api.url}: GET /api/v2/setup: this is not an InfluxDB 2")
    return bool(answer["allowed"])


def org_id(api: Api, org: str) -> str:
    try:
        return str(api.get("/api/v2/orgs", org=org)["orgs"][0]["id"])
    except ApiError as error:
        if error.status == 404:
            raise ReconcileError(
                f"{api.url}: organization {org} does not exist on a server that is set up: correct `org`"
            ) from error
        raise


def observe(api: Api, org: str, files: Mapping[str, TokenFile]) -> Observed:
    """What a server that is set up holds of the organization. Tokens' texts are dropped unread."""
    identifier = org_id(api, org)
    tokens = api.get("/api/v2/authorizations", orgID=identifier)["authorizations"]
    return Observed(
        buckets=tuple(map(_bucket, buckets_of(api, identifier))),
        tasks=tuple(map(_task, api.pages("/api/v2/tasks", "tasks", orgID=identifier))),
        tokens=tuple(map(_token, tokens)),
        files=files,
    )


def buckets_of(api: Api, identifier: str) -> list[Mapping[str, Any]]:
    """The organization's buckets as the API gives them, without the server's own."""
    return [
        entry for entry in api.pages("/api/v2/buckets", "buckets", orgID=identifier) if entry.get("type") != "system"
    ]


def retention_rules(bucket: Bucket) -> list[dict[str, Any]]:
    """Both periods, always: an empty list changes nothing, and a shard longer than its retention is refused."""
    return [
        {"type": "expire", "everySeconds": bucket.retention_seconds, "shardGroupDurationSeconds": bucket.shard_seconds}
    ]


def run_path(task_id: str, run_id: str, *rest: str) -> str:
    return "/".join(("/api/v2/tasks", quote(task_id), "runs", quote(run_id), *rest))


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise InvalidInput(f"ca_file: {ca_file} holds no readable certificate: {error}") from error
    return context


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass  # a port that is no port
    raise InvalidInput(f"url: {url!r}, allowed: http://host:port or https://host:port")


def _bucket(entry: Mapping[str, Any]) -> ObservedBucket:
    rule = (entry.get("retentionRules") or [{}])[0]
    return ObservedBucket(
        entry["id"], entry["name"], rule.get("everySeconds", 0), rule.get("shardGroupDurationSeconds", 0)
    )


def _task(entry: Mapping[str, Any]) -> ObservedTask:
    return ObservedTask(
        entry["id"], entry["name"], entry["flux"], entry["status"] == "active", entry.get("description", "")
    )


def _token(entry: Mapping[str, Any]) -> ObservedToken:
    grants = frozenset(
        (grant["action"], grant["resource"]["type"], grant["resource"].get("id", "")) for grant in entry["permissions"]
    )
    return ObservedToken(entry["id"], entry.get("description", ""), entry["status"] == "active", grants)


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


def _message(answer: Any) -> str:
    text = answer.get("message", answer) if isinstance(answer, Mapping) else answer
    return " ".join(str(text or "").split())


def _hint(status: int) -> str:
    return "; is this the operator's token of this server?" if status in (401, 403) else ""
