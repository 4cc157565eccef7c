"""`make demo` on the real parts, with few pairs: it proves itself, finds damage, and leaves nothing behind."""

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from tests.integration.demo_process import LIVE_SECONDS, demo, live
from tests.support import BUSY, eventually_async
from tools.demo.check import check
from tools.demo.compare import LENGTH_MS
from tools.demo.exchange_truth import Exchange
from tools.demo.run import Run
from tools.demo.store_truth import Store
from tools.demo.summary import Findings

ROOT = Path(__file__).parents[3]
PAIRS = 12
PAIR = "BTC/USDT:USDT"


def processes_of(folder: Path) -> list[str]:
    """The command lines that name the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        line = b" ".join(words).decode(errors="replace")
        if str(folder) in line:
            found.append(line)
    return found


def checked_exchange(run: Run) -> Exchange:
    return Exchange(run.rest_url, run.ca_file, run.truth_url)


@asynccontextmanager
async def checker(run: Run) -> AsyncIterator[Callable[[], Awaitable[Findings]]]:
    async with Store(run.influx_url, run.reader_token_file) as store, checked_exchange(run) as exchange:

        async def found() -> Findings:
            return await check(run, store, exchange, lambda _done, _of: None)

        yield found


async def as_operator(run: Run, folder: Path, route: str, query: dict[str, str], body: str) -> None:
    token = (folder / "secrets" / "operator.token").read_text(encoding="utf-8").strip()
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Token {token}"}) as session,
        session.post(f"{run.influx_url}{route}", params={"org": run.org, **query}, data=body) as answer,
    ):
        assert answer.status == 204, await answer.text()


def test_a_short_demo_checks_itself_passes_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS), DEMO_SECONDS="15") as process:
        code = process.wait(LIVE_SECONDS + 60)
    printed = folder.with_suffix(".out").read_text(encoding="utf-8")
    assert code == 0, printed
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["passed"]
    assert (summary["pairs"], summary["stale"], summary["failures"]) == (PAIRS, 0, [])
    for count in ("missing", "off_grid", "differing"):
        assert summary[count] == dict.fromkeys(LENGTH_MS, 0)
    # 49 h of candles, but for the one that has just closed: a quick start is checked within its minute of grace.
    assert summary["compared"]["3m"] >= PAIRS * (49 * 20 - 1)
    assert summary["compared"]["1d"] >= PAIRS
    assert summary["frame_to_queryable_seconds"]["samples"] > 0
    assert not processes_of(folder)
    assert all(file.stat().st_mode & 0o077 == 0 for file in (folder / "secrets").iterdir())


async def test_the_check_of_a_running_demo_finds_each_damage_and_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with demo(folder, DEMO_PAIRS=str(PAIRS)) as process:
        run = live(process, folder)
        async with checker(run) as find:
            found: list[Findings] = []

            async def all_right() -> bool:
                """A window that ends now is rolled up a little later, on a busy machine later than the check allows."""
                found.append(await find())
                return not any(one.wrong or not one.compared for one in found[-1].verdicts.values())

            _: bool = await eventually_async(all_right, 60, what="nothing is wrong")
            before = found[-1]
            async with Exchange(run.rest_url, run.ca_file) as plain, checked_exchange(run) as exchange:
                span = run.collector_started_ms - 60 * LENGTH_MS["3m"], run.collector_started_ms - 2 * LENGTH_MS["3m"]
                truth = await exchange.candles("BTCUSDT", "3m", *span)
                assert len(truth) >= 57
                assert truth == await plain.candles("BTCUSDT", "3m", *span), "klines and the control API agree"
            assert before.pairs == PAIRS
            assert before.stale == before.failures == []

            minute_ms = 60_000
            altered_ms = run.collector_started_ms // LENGTH_MS["3m"] * LENGTH_MS["3m"] - 600 * minute_ms
            deleted_ms = altered_ms + LENGTH_MS["3m"]
            tags = f"exchange=BINANCE_FUTURES,pair={PAIR}"
            day_ms = run.collector_started_ms // LENGTH_MS["1d"] * LENGTH_MS["1d"] - LENGTH_MS["1d"]
            for bucket, line in (
                ("market_data", f"ohlcv_3m,{tags} high=123.4 {altered_ms}"),
                ("market_data", f"ohlcv_3m,{tags} close=1.5 {altered_ms + 1}"),
                ("market_data_rollup", f"ohlcv_1d,{tags} volume=123.4 {day_ms}"),
            ):
                await as_operator(run, folder, "/api/v2/write", {"bucket": bucket, "precision": "ms"}, line)
            await as_operator(
                run,
                folder,
                "/api/v2/delete",
                {"bucket": "market_data"},
                json.dumps(
                    {
                        "start": stamp(deleted_ms),
                        "stop": stamp(deleted_ms + 1),
                        "predicate": f'_measurement="ohlcv_3m" AND pair="{PAIR}"',
                    }
                ),
            )
            after = await find()
        base = after.verdicts["3m"]
        assert (base.differing, base.off_grid, base.missing) == (1, 1, 1)
        assert after.verdicts["1d"].differing == 1
        assert all(PAIR in example for verdict in after.verdicts.values() for example in verdict.examples)

        process.send_signal(signal.SIGINT)
        assert process.wait(60 * BUSY) == 0
    assert not processes_of(folder)


def stamp(time_ms: int) -> str:
    """RFC 3339, as InfluxDB's delete wants it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("name", ["EXCHANGE", "DEMO_SECONDS"])
def test_a_bad_setting_is_one_line_and_exit_code_2(tmp_path: Path, name: str) -> None:
    with demo(tmp_path / "demo", **{name: "nonsense"}) as process:
        assert process.wait(30 * BUSY) == 2
    printed = (tmp_path / "demo.out").read_text(encoding="utf-8").splitlines()
    assert len(printed) == 1
    assert f"{name}=nonsense" in printed[0]
    assert not (tmp_path / "demo").exists()
