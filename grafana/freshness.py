"""Freshness: which pairs are stale, since when, and how much of the error budget is left?"""

from grafana_foundation_sdk.models import dashboard as models

from grafana import board
from grafana.panels import BAD, CAREFUL, GOOD, Panel, column, graph, listing, number, steps, timeline
from grafana.queries import (
    AGE_SHARES,
    AGES,
    CANDLE_AGE_LIMIT_SECONDS,
    OBJECTIVE,
    STALE,
    now,
    over_time,
    rows,
)

BUDGET = round(1 - OBJECTIVE, 6)
TIER = 'topk by (exchange, pair) (1, max by (exchange, pair, tier) (marketdata_pair_tier{exchange="$exchange"}))'
WORST = f"topk(50, {AGE_SHARES})"


def build() -> models.Dashboard:
    """The dashboard marketdata-freshness."""
    return board.board(
        "marketdata-freshness",
        "Freshness",
        "Which pairs are stale, since when, and how much of the error budget is left?",
        variables=[board.prometheus_source(), board.exchange()],
        annotations=[
            board.restarts(),
            board.firing('exchange="$exchange", alertname=~"PairStale|StreamSilent|Exchange.+|FreshnessBudgetBurn"'),
        ],
        rows=[
            (4, [(6, _now()), (4, _slo()), (5, _budget()), (4, _burn()), (5, _silent())]),
            (7, [(12, _share()), (12, _rates())]),
            (9, [(14, _worst()), (10, _when())]),
            (7, [(14, _oldest()), (10, _silent_streams())]),
        ],
    )


def _now() -> Panel:
    return number(
        "Fresh now",
        "Share of the pairs that are fresh, by channel.",
        now('exchange_channel:marketdata_fresh:ratio{exchange="$exchange"}', "{{channel}}"),
        unit="percentunit",
        decimals=1,
        colors=steps(BAD, (0.98, CAREFUL), (1, GOOD)),
    )


def _slo() -> Panel:
    return number(
        "Fresh in 30 days",
        "Share of pairs x channels x time that was fresh in the last 30 days. The objective is 99.5 %.",
        now('1 - exchange:marketdata_stale:ratio_avg30d{exchange="$exchange"}'),
        unit="percentunit",
        decimals=3,
        colors=steps(BAD, (OBJECTIVE, GOOD)),
    )


def _budget() -> Panel:
    return number(
        "Error budget left",
        "The unused part of the 0.5 % that may be stale in 30 days. Below 0 the objective is missed.",
        now(f'1 - exchange:marketdata_stale:ratio_avg30d{{exchange="$exchange"}} / {BUDGET}'),
        unit="percentunit",
        decimals=1,
        colors=steps(BAD, (0, CAREFUL), (0.5, GOOD)),
    )


def _burn() -> Panel:
    return number(
        "Burn rate, 1 h",
        "How many times faster than allowed the budget is being spent. 14.4 for an hour is 2 % of the 30 days' budget.",
        now(f'exchange:marketdata_stale:ratio_avg1h{{exchange="$exchange"}} / {BUDGET}'),
        unit="none",
        decimals=1,
        colors=steps(GOOD, (1, CAREFUL), (14.4, BAD)),
    )


def _silent() -> Panel:
    return number(
        "Silent streams",
        "Streams that deliver nothing for the pair although their connection works; REST updates the pair instead. "
        "This is not the same as stale: the data is there, a few seconds later.",
        now('sum(max by (exchange, channel) (marketdata_streams_silent{exchange="$exchange"}))'),
        unit="none",
        colors=steps(GOOD, (1, CAREFUL)),
    )


def _share() -> Panel:
    return graph(
        "Stale share by channel",
        "Share of pairs that are stale. The dashed line is what the objective allows on average.",
        over_time('1 - exchange_channel:marketdata_fresh:ratio{exchange="$exchange"}', "{{channel}}"),
        unit="percentunit",
        limit=steps(GOOD, (BUDGET, BAD)),
    ).axis_soft_max(0.01)


def _rates() -> Panel:
    selector = 'exchange="$exchange"'
    return graph(
        "How fast does the error budget burn?",
        "1 spends the budget in exactly 30 days. Alerts fire at 14.4 over 1 h and 6 over 6 h.",
        *(
            over_time(f"exchange:marketdata_stale:ratio_avg{window}{{{selector}}} / {BUDGET}", window, ref)
            for ref, window in zip("ABCD", ("5m", "1h", "6h", "1d"), strict=True)
        ),
        unit="none",
        limit=steps(GOOD, (6, CAREFUL), (14.4, BAD)),
    ).axis_soft_max(2)


def _worst() -> Panel:
    panel = listing(
        "Worst 50",
        "Pairs and channels by the age of their newest data, relative to the limit (candles 240 s after the newest "
        "close, frames 60 s). 100 % is stale.",
        rows(f"({WORST}) * on (exchange, pair) group_left (tier) {TIER}", "A"),
        rows(
            f"({AGES} and on (exchange, pair, channel) {WORST}) * on (exchange, pair) group_left (tier) {TIER}",
            "B",
        ),
        columns={
            "pair": "Pair",
            "channel": "Channel",
            "tier": "Tier",
            "Value #B": "Age",
            "Value #A": "Of the limit",
        },
        by="Of the limit",
    )
    column(panel, "Pair", links=board.pair_link(pair_field="${__data.fields.Pair:percentencode}"))
    column(panel, "Age", unit="s", decimals=0)
    return column(
        panel,
        "Of the limit",
        unit="percentunit",
        decimals=0,
        min=0,
        max=1,
        thresholds=steps(GOOD, (0.9, CAREFUL), (1, BAD)).build(),
        custom__cellOptions={"type": "gauge", "mode": "basic"},
    )


def _when() -> Panel:
    return timeline(
        "Which pairs were stale, and when?",
        "Only pairs that were stale at some point in the selected time range are shown.",
        over_time(
            f"{STALE} and on (exchange, pair, channel) (max_over_time({STALE}[$__range] @ end()) == 1)",
            "{{pair}} {{channel}}",
        ),
        words={0: ("fresh", GOOD), 1: ("stale", BAD)},
    ).no_value("No pair was stale")


def _oldest() -> Panel:
    return graph(
        "Oldest data by channel",
        "Age of the newest data of the worst pair. Candles normally swing between 0 and 180 s.",
        over_time(f"max by (channel) ({AGES})", "{{channel}}"),
        unit="s",
        limit=steps(GOOD, (CANDLE_AGE_LIMIT_SECONDS, BAD)),
    )


def _silent_streams() -> Panel:
    panel = listing(
        "Which streams are silent?",
        "Pairs whose stream is silent and which are updated by REST instead.",
        rows('max by (pair, channel) (marketdata_stream_silent{exchange="$exchange"}) == 1'),
        columns={"pair": "Pair", "channel": "Channel"},
    ).no_value("No stream is silent")
    return column(panel, "Pair", links=board.pair_link(pair_field="${__data.fields.Pair:percentencode}"))
