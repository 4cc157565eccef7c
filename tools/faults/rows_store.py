"""What InfluxDB, and the connection to it, can do to us."""

from tools.faults import proxy
from tools.faults.actions import (
    damaged,
    kill,
    newest_spooled,
    of_wrong_type,
    start,
    store_starts,
    store_stops,
    token_restored,
    token_revoked,
    unreadable,
    way,
    way_free,
    with_line,
)
from tools.faults.row import PREPARED, Row, at, script

UNAVAILABLE = proxy.answers(503, "upstream connect error")
BAD_REQUEST_PAGE = proxy.answers(400, "<html>Bad Request</html>")
FORBIDDEN_PAGE = proxy.answers(403, "<html>Forbidden</html>")

STORE_ROWS = (
    Row("InfluxDB stopped 45 s", script(at(-15, store_stops), at(30, store_starts)), fast=True),
    Row("InfluxDB slow, 6 s an answer", script(at(-60, way(proxy.slow(6))), at(30, way_free)), fast=True),
    Row(
        "InfluxDB so slow that every write times out",
        script(at(-190, way(proxy.slow(40))), at(30, way_free)),
        until_seconds=90,
    ),
    Row(
        "InfluxDB takes writes, its answers are lost",
        script(at(-30, way(proxy.stores_and_is_silent)), at(30, way_free)),
    ),
    Row(
        "InfluxDB unreachable, connections aborted", script(at(-30, way(proxy.cut)), at(60, way_free)), until_seconds=90
    ),
    Row("token revoked and restored", script(at(-20, token_revoked), at(25, token_restored)), fast=True),
    Row(
        "InfluxDB 400 page, then 403 page",
        script(at(-20, way(BAD_REQUEST_PAGE)), at(15, way(FORBIDDEN_PAGE)), at(30, way_free)),
    ),
    Row(
        "InfluxDB 400: a bad line in a spool file",
        script(at(-10, way(UNAVAILABLE)), at(6, kill(), newest_spooled(with_line(unreadable)), way_free, start())),
        fast=True,
    ),
    Row(
        "InfluxDB 422: a type conflict in a spool file",
        script(at(-10, way(UNAVAILABLE)), at(6, kill(), newest_spooled(with_line(of_wrong_type)), way_free, start())),
    ),
    Row(
        "damaged spool file",
        script(at(-10, way(UNAVAILABLE)), at(6, kill(), newest_spooled(damaged), way_free, start())),
        fast=True,
    ),
    Row(
        "spool at its bound",
        script(at(PREPARED, way(UNAVAILABLE)), at(30, way_free)),
        config={
            "spool": {"max_bytes": 1_000_000, "max_files": 100},
            "fill": {"hours": 240},
            "ledger": {"check_seconds": 30},
        },
        until_seconds=120,
        within_seconds=300,
        counted_loss=True,
    ),
)
