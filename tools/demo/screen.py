"""The live table, for 80 columns by 24 lines and growing with the terminal; and a plain line for logs. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tools.demo.compare import LENGTH_MS
from tools.demo.probe import percentile
from tools.demo.run import Run
from tools.demo.view import View, fill_text

INFLUXDB, GRAFANA, PROMETHEUS, COLLECTOR, GATEWAY = "InfluxDB", "Grafana", "Prometheus", "collector", "gateway"
"""The components whose addresses are shown, with the names their starters use."""

LABEL_WIDTH = 13
PAIR_COLUMN_WIDTH = 39


def render(view: View, width: int, height: int, at_seconds: float) -> RenderableType:
    """Return the whole screen: figures, addresses, and in the remaining lines the pairs, stalest first."""
    head = _headline(view, at_seconds)
    figures = _grid(_figures(view), width)
    places = _grid(_places(view), width)
    used = 1 + figures.row_count + 1 + places.row_count
    parts: list[RenderableType] = [head, figures, Text(), places]
    if (left := height - used - 3) > 0 and view.marks:
        parts += [Text(), _pairs(view, width, left)]
    return Group(*parts)


def plain_line(view: View, at_seconds: float) -> str:
    """Return the state as one line, for use without a terminal."""
    status = view.status
    words = [f"demo {_clock(at_seconds - view.started_at)} {view.phase}"]
    if status is not None:
        spool = [(store["points_in_spool"], store["spool_files"]) for store in status["stores"].values()]
        words += [
            f"pairs={status['pairs']} live={status['pairs_live']} stale={len(status['pairs_stale'])}",
            f"messages/s={_number(view.rate('messages'))} points/s={_number(view.rate('points'))}",
            f"spool_points={sum(points for points, _ in spool)} spool_files={sum(files for _, files in spool)}",
            f"lag_p99={_seconds(percentile(view.delays_seconds, 99))}",
            f"fill={status['fill']['stage']} weight={status['weight_used_in_minute']}",
            f"rolled_up={','.join(view.windows_ms) or '-'}",
        ]
    return " ".join(words) + (f" problem={view.problem}" if view.problem else "")


def _headline(view: View, at_seconds: float) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(" Market data demo ", style="reverse bold")
    text.append(f" {view.exchange}   {_clock(at_seconds - view.started_at)}   ")
    style = "green" if view.live_at is not None else "yellow"
    text.append(view.phase, style="bold " + style)
    if view.phase == "live":
        if not view.filled:
            text.append(", older history is still being loaded")
        elif view.seconds is not None and view.live_at is not None:
            text.append(f", the check in {_clock(view.live_at + view.seconds - at_seconds)}")
    return text


def _figures(view: View) -> Iterator[tuple[str, str | Text]]:
    status = view.status
    if status is None:
        yield "collector", Text(view.problem or "has not responded yet", style="yellow")
        for label in ("pairs", "freshest", "stalest", "messages", "points", "lag", "fill", "roll-ups", "closes"):
            yield label, Text("-", style="dim")
        return
    stale = status["pairs_stale"]
    yield (
        "pairs",
        _joined(
            f"{status['pairs']}, {status['pairs_live']} live, ",
            Text(
                f"{len(stale)} stale" + (f": {', '.join(stale[:3])}" if stale else ""),
                style="bold red" if stale else "",
            ),
        ),
    )
    ages = sorted((view.now_ms - sample.time_ms, pair) for pair, sample in view.marks.items())
    if ages:
        yield "freshest", f"{ages[0][1]}   its mark price is {ages[0][0] / 1000:.1f} s old in the store"
        yield "stalest", f"{ages[-1][1]}   {ages[-1][0] / 1000:.1f} s (one sample every 10 s)"
    yield "messages", f"{_number(view.rate('messages'))}/s"
    yield "points", f"{_number(view.rate('points'))}/s   {view.readings[-1].points:,} stored"
    for name, store in status["stores"].items():
        yield "spool", f"{store['points_in_spool']:,} points in {store['spool_files']:,} files, store {name}"
    fast, slow = percentile(view.delays_seconds, 50), percentile(view.delays_seconds, 99)
    yield "lag", f"p50 {_seconds(fast)}   p99 {_seconds(slow)}   exchange's frame to queryable"
    fill = status["fill"]
    yield "fill", Text(fill_text(fill), style="" if fill["stage"] == "done" else "yellow")
    dirty = sum(store["rollup_windows_dirty"] for store in status["stores"].values())
    yield "roll-ups", "   ".join([f"{name} {_stamp(name, ms)}" for name, ms in view.windows_ms.items()] or ["none yet"])
    last = max(store["last_rollup_repair_seconds"] for store in status["stores"].values())
    repaired = f"last re-roll {_stamp('15m', int(last * 1000))}" if last else "none re-rolled yet"
    yield "", f"{dirty} windows dirty, {repaired}"
    closes = status["closes"]
    yield "closes", f"{closes['stream']:,} from the stream, {closes['rest']:,} from REST"
    connections = status["connections"]
    silent = sum(connection["silent"] for connection in connections)
    opened = f"{sum(connection['open'] for connection in connections)} of {len(connections)} open"
    yield "connections", _joined(f"{opened}, ", Text(f"{silent} silent", style="bold red" if silent else ""))
    yield "weight", f"{status['weight_used_in_minute']:,} of the exchange's 2,400 used in this minute"
    if view.problem:
        yield "problem", Text(view.problem, style="bold red")


def _places(view: View) -> Iterator[tuple[str, str | Text]]:
    run = view.run
    if run is not None:
        yield "InfluxDB", run.influx_url
        left_out = "left out: run `make setup` to see how to get it"
        yield "Grafana", f"{run.grafana_url}   admin, {_password_place(run)}" if run.grafana_url else left_out
        alerts = f"   Alertmanager {run.alertmanager_url}" if run.alertmanager_url else ""
        yield "Prometheus", f"{run.prometheus_url}{alerts}" if run.prometheus_url else left_out
        yield "collector", f"{run.collector_url}/metrics  /status"
        if run.gateway_url:
            yield "gateway", f"{run.gateway_url}/fapi/v1  /pairlist  /metrics"
        yield view.exchange, run.rest_url
    else:
        for name in (INFLUXDB, GRAFANA, PROMETHEUS, COLLECTOR, GATEWAY, view.exchange):
            yield name, Text(view.parts.get(name, "waits"), style="" if "://" in view.parts.get(name, "") else "dim")
    yield "logs", f"{view.logs}/*.log"
    yield "", Text("Ctrl-C stops everything", style="dim")


def _password_place(run: Run) -> str:
    """Return where Grafana's password is, relative to the demo's folder: the full path does not fit."""
    return "/".join(Path(run.grafana_password_file or "").parts[-2:])


def _pairs(view: View, width: int, lines: int) -> Table:
    columns = max((width - 1) // PAIR_COLUMN_WIDTH, 1)
    table = Table.grid(padding=(0, 1))
    for _ in range(columns):
        for justify, size in (("left", 17), ("right", 11), ("right", 7)):
            table.add_column(justify=justify, width=size, no_wrap=True, overflow="ellipsis")  # type: ignore[arg-type]
    stalest = sorted(view.marks.items(), key=lambda entry: entry[1].time_ms)[: columns * lines]
    cells = [
        (pair.partition(":")[0], f"{sample.value:.8g}", f"{(view.now_ms - sample.time_ms) / 1000:.1f} s")
        for pair, sample in stalest
    ]
    table.add_row(*[Text(word, style="dim") for word in ("pair", "mark price", "age")] * columns)
    for line in range(min(lines, -(-len(cells) // columns))):
        row = cells[line * columns : (line + 1) * columns]
        table.add_row(*[word for cell in row for word in cell])
    return table


def _grid(rows: Iterator[tuple[str, str | Text]], width: int) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=LABEL_WIDTH, style="cyan", no_wrap=True)
    table.add_column(width=max(width - LABEL_WIDTH - 2, 20), no_wrap=True, overflow="ellipsis")
    for label, value in rows:
        table.add_row(f" {label}", value)
    return table


def _joined(start: str, end: Text) -> Text:
    return Text(start).append_text(end)


def _clock(seconds: float) -> str:
    whole = max(int(seconds), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def _stamp(interval: str, time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%m-%d}" if LENGTH_MS[interval] == LENGTH_MS["1d"] else f"{moment:%H:%M}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
