"""What the exchange's streams can do to us."""

from tools.faults import proxy
from tools.faults.actions import (
    exchange,
    exchange_heals,
    listing_dates_wrong,
    no_gap_is_open,
    one_pair_delisted,
    one_pair_halted,
    one_pair_silent,
    way,
    way_free,
)
from tools.faults.row import PREPARED, Row, Step, at, script

CODES = (1000, 1001, 1006, 1008)


def close_loop() -> tuple[Step, ...]:
    """Each code for 50 s, every 3 s, over both closes."""
    steps: tuple[Step, ...] = ()
    for index, code in enumerate(CODES):
        steps += at(-190 + 55 * index, exchange_heals, exchange("close_connections", code=code, every_seconds=3))
    return steps + at(30, exchange_heals)


EXCHANGE_ROWS = (
    Row("exchange silent from the start", script(at(PREPARED, exchange("silent_route")), at(30, exchange_heals))),
    Row("exchange silent later", script(at(-60, exchange("silent_route")), at(30, exchange_heals)), fast=True),
    Row("one pair silent", script(at(-60, one_pair_silent), at(30, exchange_heals))),
    Row("closes 1000, 1001, 1006, 1008 in a loop", close_loop(), until_seconds=90),
    Row(
        "malformed JSON, unknown symbol, unknown event",
        script(
            at(
                -60,
                exchange("malformed_frame", every_seconds=0.5),
                exchange("unknown_symbol_frame", every_seconds=0.5),
                exchange("unknown_event_frame", every_seconds=0.5),
            ),
            at(30, exchange_heals),
        ),
        fast=True,
    ),
    Row(
        "closing frames out of order",
        script(at(-200, exchange("late_close", first=0, last=6, delay_ms=181_000)), at(30, exchange_heals)),
    ),
    Row("closing frames doubled", script(at(-60, exchange("double_close")), at(30, exchange_heals))),
    Row("closing frames missing", script(at(-60, exchange("missing_close")), at(30, exchange_heals))),
    Row(
        "closing frames 24 s late",
        script(at(-60, exchange("late_close", delay_ms=24_000)), at(35, exchange_heals)),
        fast=True,
    ),
    Row(
        "closing frames wrong, corrected 1.5 s later",
        script(at(-60, exchange("corrected_close", delay_ms=1_500)), at(30, exchange_heals)),
        fast=True,
    ),
    Row(
        "handshakes refused with 503 after a cut",
        script(
            at(-20, exchange("refuse_handshake", status=503), exchange("close_connections", code=1006)),
            at(30, exchange_heals),
        ),
    ),
    Row("a listing", script(at(-150, exchange("listing"))), until_seconds=90),
    Row("a delisting", script(at(-200, one_pair_delisted)), until_seconds=90),
    Row(
        "dates of listing 288 days early and years late",
        script(at(PREPARED, listing_dates_wrong), at(60, no_gap_is_open)),
        pairs=22,  # with fewer pairs the simulator has no newly listed one
    ),
    Row("a halt of a pair", script(at(-200, one_pair_halted), at(30, exchange_heals)), until_seconds=90),
    Row(
        "exchangeInfo half empty, then empty",
        script(
            at(-200, exchange("short_exchange_info", share=0.5)),
            at(-80, exchange("short_exchange_info")),
            at(30, exchange_heals),
        ),
    ),
    Row(
        "network cut for 2 min",
        script(at(-90, exchange("connection_cut"), way(proxy.cut)), at(30, exchange_heals, way_free)),
        until_seconds=100,
        within_seconds=60,
    ),
)
