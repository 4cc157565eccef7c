"""What can happen to a collector's process."""

from tools.faults import proxy
from tools.faults.actions import (
    exchange,
    exchange_heals,
    freeze,
    half_written,
    kill,
    kill_mid_delivery,
    kill_with_points_in,
    newest_spooled,
    start,
    terminate,
    thaw,
    way,
    way_free,
)
from tools.faults.row import Row, at, script

UNAVAILABLE = proxy.answers(503, "upstream connect error")
ALL_AT_ONCE = exchange("late_close", delay_ms=2_000)
TWO = ("collector-1", "collector-2")

COLLECTOR_ROWS = (
    Row(
        "SIGKILL with closes in the queue",
        script(
            at(-200, ALL_AT_ONCE),
            at(-178.5, kill_with_points_in("queue"), start()),
            at(1.5, kill_with_points_in("queue"), exchange_heals, start()),
        ),
        until_seconds=90,
    ),
    Row(
        "SIGKILL with closes in the batch",
        script(at(-30, ALL_AT_ONCE), at(1.5, kill_with_points_in("batch"), exchange_heals, start())),
        fast=True,
    ),
    Row("SIGKILL while closes arrive, five times", script(*(at(0.4 + 4 * n, kill(), start()) for n in range(5)))),
    Row(
        "SIGKILL in a half-written spool file",
        script(at(-10, way(UNAVAILABLE)), at(3, kill(), newest_spooled(half_written), way_free, start())),
        fast=True,
    ),
    Row(
        "SIGKILL in mid-delivery",
        script(at(1, way(proxy.stores_and_is_silent), kill_mid_delivery(), way_free, start())),
        fast=True,
    ),
    Row(
        "SIGKILL with a full spool, 20 s down",
        script(at(-60, way(UNAVAILABLE)), at(3, kill(), way_free), at(23, start())),
    ),
    Row(
        "SIGTERM under load",
        script(at(-60, way(proxy.slow(3))), at(2, terminate, start()), at(30, way_free)),
        fast=True,
    ),
    Row("collector down for 60 s over a close", script(at(-30, kill()), at(30, start())), until_seconds=90),
    Row("collector suspended 70 s: its clocks jump", script(at(-40, freeze), at(30, thaw)), until_seconds=90),
    Row(
        "one of two collectors killed each minute",
        script(
            at(-185, kill(0)),
            at(-150, start(0)),
            at(-125, kill(1)),
            at(-90, start(1)),
            at(-65, kill(0)),
            at(-40, start(0)),
            at(-1, kill(1)),
            at(35, start(1)),
        ),
        collectors=TWO,
        until_seconds=90,
    ),
    Row("one of two collectors down over a close", script(at(-30, kill(1)), at(40, start(1))), collectors=TWO),
    Row(
        "one of two collectors lags: suspended, then upgraded",
        script(at(-150, freeze), at(-100, thaw), at(-20, terminate), at(10, start())),
        collectors=TWO,
    ),
)
