"""Options of `audit` and `backfill`: times, shares, intervals. Bad values are refused in one line, exit code 2."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from marketdata.schema import EARLIEST_MS, ROLLUP_TIMEFRAMES
from marketdata.timeframes import BASE_TIMEFRAME

TIMEFRAMES = (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)


def add_audit(command: argparse.ArgumentParser) -> None:
    """Add the options of `audit`."""
    _add_common(command)
    command.add_argument(
        "--from", dest="from_ms", type=time_ms, metavar="T", help="start; default: 48 hours before --to"
    )
    command.add_argument(
        "--intervals",
        type=intervals,
        default=TIMEFRAMES,
        metavar="I,...",
        help=f"default: {','.join(TIMEFRAMES)}",
    )
    command.add_argument("--fix", action="store_true", help="correct the differences; touches no other candles")
    command.add_argument("--report", type=Path, metavar="FILE", help="write every difference to FILE, a JSON per line")


def add_backfill(command: argparse.ArgumentParser) -> None:
    """Add the options of `backfill`."""
    _add_common(command)
    command.add_argument("--from", dest="from_ms", type=time_ms, metavar="T", required=True, help="start")


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--to", dest="to_ms", type=time_ms, metavar="T", help="end, excluded; default: now")
    command.add_argument(
        "--pairs",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="only these of the configured pairs, including halted and delisted ones: 'BTC/*' 'ETH/USDT:USDT'",
    )
    command.add_argument(
        "--share",
        type=share,
        metavar="N",
        help="percent of the exchange's weight limit; default: half of exchange.weight_share_percent",
    )


def time_ms(text: str) -> int:
    """Parse 2026-10-01 or 2026-10-01T12:00, in UTC unless it has an offset; return UTC ms."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: use 2026-10-01 or 2026-10-01T12:00 (UTC)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    found = round(moment.timestamp() * 1000)
    if found < EARLIEST_MS:
        raise argparse.ArgumentTypeError(f"{text!r} is before 2019: the exchange has no data that old")
    return found


def share(text: str) -> int:
    """Parse a whole percent from 1 to 75."""
    if not text.isdecimal() or not 1 <= int(text) <= 75:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole percent from 1 to 75 (all together stop at 80)")
    return int(text)


def intervals(text: str) -> tuple[str, ...]:
    """Parse intervals separated by commas; return them shortest first."""
    wanted = text.split(",")
    for timeframe in wanted:
        if timeframe not in TIMEFRAMES:
            raise argparse.ArgumentTypeError(f"{timeframe!r} is not one of {', '.join(TIMEFRAMES)}")
    return tuple(timeframe for timeframe in TIMEFRAMES if timeframe in wanted)
