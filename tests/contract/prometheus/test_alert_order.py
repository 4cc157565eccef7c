"""What mutes begins before what it mutes and ends after it: each fault is played to the shipped rules, late ones too.

Alertmanager asks what is muted when it is about to tell somebody, so a part that fires alone for a moment may be told.
Played is the worst that a fault begins and ends with: parts that are seen to fail before the whole, and that are well
again after it. What fires at the same evaluation is soon enough, since a group of alerts waits (`group_wait`).
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.faster import duration_ms
from tests.support.rules import FOLDER
from tools.bootstrap import programs
from tools.generate import alertmanager

GROUPS = [
    *("marketdata.recording", "marketdata.pairs", "marketdata.objective.recording", "marketdata.objective"),
    *("marketdata.collector", "marketdata.gateway", "marketdata.store", "marketdata.host", "marketdata.monitoring"),
]
SAMPLE_SECONDS = 15
BEGINS, ENDS, OVER = 40, 160, 400
"""Samples of a quarter of a minute: healthy for 10 minutes, then half an hour of the fault, then an hour of health."""
MINUTE = 4

type Series = dict[str, str]


@dataclass(frozen=True)
class Fault:
    """One inhibition of Alertmanager's, and the fault that raises both sides of it."""

    source: str
    muted: str
    """Label matchers of what must never fire without the source."""
    equal: str
    follow: frozenset[str]
    """Alerts that the fault would raise if the source were not there."""
    series: Series


def number(value: float, times: int) -> list[str]:
    return [f"{value:g}"] * times


def gauge(healthy: float, faulty: float, *, begins: int = BEGINS, ends: int = ENDS) -> str:
    """One value, another for the length of the fault, and the first again; in samples."""
    return " ".join(number(healthy, begins) + number(faulty, ends - begins) + number(healthy, OVER - ends))


def clock(*, begins: int = BEGINS, ends: int = ENDS, lags_seconds: int = 0) -> str:
    """A timestamp that is as old as `lags_seconds`, stands still during the fault, and catches up."""
    stands = max(begins - 1, 0)
    ages = [sample if sample < begins or sample >= ends else stands for sample in range(OVER)]
    return " ".join(f"{age * SAMPLE_SECONDS - lags_seconds}" for age in ages)


def counter(*, begins: int = BEGINS, ends: int = ENDS, each: float) -> str:
    """A count that grows during the fault alone."""
    return " ".join(f"{min(max(sample - begins, 0), ends - begins) * each:g}" for sample in range(OVER))


EXCHANGE = 'exchange="BINANCE_FUTURES"'
COLLECTOR = 'job="collector",instance="c1:9108",host="c1"'


def silent_exchange() -> Series:
    """Frames end pair by pair within two samples and come back within a minute; candles take four.

    REST brings those of the last two pairs throughout: their streams are silent and they are not stale.
    """
    series = {}
    for pair in range(8):
        labels = f'{COLLECTOR},{EXCHANGE},pair="P{pair}"'
        begins, ends = BEGINS - pair % 2, ENDS + (MINUTE if pair else 0)
        for channel in ("mark_price", "funding"):
            name = f'marketdata_last_message_timestamp_seconds{{{labels},channel="{channel}"}}'
            series[name] = clock(begins=begins, ends=ends)
        candles = f"0+15x{OVER}" if pair >= 6 else clock(ends=ENDS + 4 * MINUTE)
        series[f"marketdata_last_final_candle_timestamp_seconds{{{labels}}}"] = candles
        series[f'marketdata_stream_silent{{{labels},channel="candles_3m"}}'] = gauge(0, 1, ends=ends)
        series[f'marketdata_pair_tier{{{labels},tier="{"major" if pair < 3 else "minor"}"}}'] = f"1x{OVER}"
        series[f'marketdata_pair_state{{{labels},state="listed"}}'] = f"1x{OVER}"
    ended = f'marketdata_connections_ended_total{{{COLLECTOR},{EXCHANGE},channel="mark_price",reason="silent"}}'
    return series | {ended: counter(each=0.5, ends=ENDS + MINUTE)}


def dead_host() -> Series:
    """Scrapes fail one after another within half a minute; the node exporter answers first, InfluxDB last."""
    ends = {"node": 0, "sentinel": 2, "collector": 4, "gateway": 8, "influxdb": 16}
    backup = (
        'marketdata_backup_last_success_timestamp_seconds{job="node",instance="h1:node",host="h1",bucket="candles"}'
    )
    return {backup: f"0+15x{OVER}"} | {
        f'up{{job="{job}",instance="h1:{job}",host="h1"}}': gauge(
            1, 0, begins=BEGINS + (2 if job == "node" else 0), ends=ENDS + late
        )
        for job, late in ends.items()
    }


def dead_store() -> Series:
    """Batches wait before the scrape is seen to fail, and spools drain three minutes after the store is back."""
    store, reads = 'store="main"', 'job="sentinel",instance="s1",host="s1"'
    pair = f'{EXCHANGE},pair="P0"'
    stored = f'marketdata_stored_candle_timestamp_seconds{{{reads},{store},{pair},interval="3m"}}'
    drained = ENDS + 3 * MINUTE
    waits = number(0, BEGINS) + number(BEGINS * SAMPLE_SECONDS, drained - BEGINS) + number(0, OVER - drained)
    return {
        f'up{{job="influxdb",instance="i1:8086",host="i1",{store}}}': gauge(1, 0, begins=BEGINS + 2),
        f"marketdata_spool_oldest_timestamp_seconds{{{COLLECTOR},{store}}}": " ".join(waits),
        f"marketdata_sentinel_last_success_timestamp_seconds{{{reads},{store}}}": clock(ends=ENDS + MINUTE // 2),
        stored: clock(ends=drained + MINUTE // 2, lags_seconds=60),
        f"marketdata_last_final_candle_timestamp_seconds{{{COLLECTOR},{pair}}}": f"0+15x{OVER}",
        f'marketdata_pair_state{{{COLLECTOR},{pair},state="listed"}}': f"1x{OVER}",
    }


FAULTS = [
    Fault(
        "ExchangeSilent",
        'alertname=~"PairStale|StreamSilent|ExchangePartiallyStale|ReconnectStorm|FreshnessBudgetBurn",severity="critical"',
        "exchange",
        frozenset({"PairStale", "ExchangePartiallyStale", "FreshnessBudgetBurn"}),
        silent_exchange(),
    ),
    Fault(
        # Tickets of the objective are told after a silence, each for what it has cost.
        "ExchangeSilent",
        'alertname=~"PairStale|StreamSilent|ReconnectStorm",severity="warning"',
        "exchange",
        frozenset({"PairStale", "StreamSilent", "ReconnectStorm"}),
        silent_exchange(),
    ),
    Fault(
        "HostDown",
        'alertname!="HostDown",host!=""',
        "host",
        frozenset({"CollectorDown", "GatewayDown", "InfluxDBDown", "TargetDown"}),
        dead_host(),
    ),
    Fault(
        # RollupsLate does not follow: without the sentinel nobody calls them late, and it waits longer than they take.
        "InfluxDBDown",
        'alertname=~"WriteStalled|CandlesLate|RollupsLate|SentinelStale"',
        "store",
        frozenset({"WriteStalled", "CandlesLate", "SentinelStale"}),
        dead_store(),
    ),
]

ESCALATIONS = {("FreshnessBudgetBurn", "FreshnessBudgetBurn"), ("FilesystemAlmostFull", "FilesystemFillingUp")}
"""The ticket comes first and stays when the page is over: each is true by itself, and told when the other is not."""


def play(folder: Path, fault: Fault, expression: str, *, each_seconds: int, order: list[str], without: str = "") -> str:
    """promtool's complaint if an expression has a result at the end of the fault's story; "" if it has none."""
    promtool = programs.find("promtool")
    assert promtool, "promtool is not here: `make setup` gets it"
    files = []
    for file in sorted(FOLDER.glob("*.yml")):
        content = yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for group in content["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule.get("alert") != without]
        (folder / file.name).write_text(json.dumps(content), encoding="utf-8")
        files.append(file.name)
    story: dict[str, Any] = {
        "interval": f"{SAMPLE_SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in fault.series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": f"{OVER * SAMPLE_SECONDS}s", "exp_samples": []}],
    }
    document = {
        "rule_files": files,
        "evaluation_interval": f"{each_seconds}s",
        "group_eval_order": order,
        "tests": [story],
    }
    (folder / "story.yml").write_text(json.dumps(document), encoding="utf-8")
    command = [str(promtool), "test", "rules", "story.yml"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else run.stdout + run.stderr


def firing(matchers: str) -> str:
    return f'ALERTS{{alertstate="firing",{matchers}}}'


def ids(fault: Fault) -> str:
    return f"{fault.source} of {' '.join(sorted(fault.follow))}"


PACES = [(15, GROUPS), (15, GROUPS[::-1]), (30, GROUPS[::-1]), (60, GROUPS[::-1]), (75, GROUPS)]
"""Seconds between evaluations (more than 15: some were missed) and their order: reversed, groups read old samples."""


@pytest.mark.parametrize(("each_seconds", "order"), PACES, ids=[f"{pace}s-from-{order[0]}" for pace, order in PACES])
@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_what_mutes_fires_no_later_and_ends_no_sooner_however_late_rules_are_evaluated(
    fault: Fault, each_seconds: int, order: list[str], tmp_path: Path
) -> None:
    alone = f"({firing(fault.muted)} unless on ({fault.equal}) {firing(f'alertname="{fault.source}"')})"
    story = f"count_over_time({alone}[{OVER * SAMPLE_SECONDS}s:{SAMPLE_SECONDS}s])"
    assert play(tmp_path, fault, story, each_seconds=each_seconds, order=order) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_the_fault_would_raise_each_part_if_nothing_muted_it(fault: Fault, tmp_path: Path) -> None:
    fired = f"count by (alertname) (count_over_time({firing(fault.muted)}[{OVER * SAMPLE_SECONDS}s]))"
    names = "|".join(sorted(fault.follow))
    told = play(tmp_path, fault, fired, each_seconds=15, order=GROUPS, without=fault.source)
    assert {name for name in fault.follow if f'alertname="{name}"' in told} == fault.follow, f"{names}: {told}"


@pytest.mark.parametrize("fault", FAULTS, ids=ids)
def test_the_fault_raises_what_mutes(fault: Fault, tmp_path: Path) -> None:
    fired = f"count_over_time({firing(f'alertname="{fault.source}"')}[{OVER * SAMPLE_SECONDS}s])"
    assert f'alertname="{fault.source}"' in play(tmp_path, fault, fired, each_seconds=15, order=GROUPS)


def test_every_inhibition_of_alertmanager_is_played_or_is_an_escalation() -> None:
    inhibitions = yaml.safe_load(alertmanager.SHIPPED.read_text(encoding="utf-8"))["inhibit_rules"]
    pairs = set()
    for inhibition in inhibitions:
        (source,) = (m.split('"')[1] for m in inhibition["source_matchers"] if m.startswith("alertname ="))
        (target,) = (m.split('"')[1] for m in inhibition["target_matchers"] if m.startswith("alertname"))
        pairs.add((source, target))
    escalations = {pair for pair in pairs if pair in ESCALATIONS}
    assert escalations == ESCALATIONS
    assert {source for source, _ in pairs - ESCALATIONS} == {fault.source for fault in FAULTS}


def test_a_new_group_of_alerts_is_held_back_for_two_evaluations_more() -> None:
    """What fires at one evaluation reaches Alertmanager rule by rule: those that are muted perhaps first."""
    route = yaml.safe_load(alertmanager.SHIPPED.read_text(encoding="utf-8"))["route"]
    assert duration_ms(route["group_wait"]) >= 2 * 15_000
    assert all("group_wait" not in child or child["receiver"] == "heartbeat" for child in route["routes"])


def test_every_group_of_rules_is_played() -> None:
    groups = [
        group["name"]
        for file in FOLDER.glob("*.yml")
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    assert sorted(groups) == sorted(GROUPS)
