"""Options of `audit` and `backfill`: times, shares, intervals. A bad value is refused in one line, exit code 2."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from marketdata.schema import EARLIEST_MS, ROLLUP_TIMEFRAMES
from marketdata.timeframes import BASE_TIMEFRAME

TIMEFRAMES = (BASE_TIMEFRAME, *ROLLUP_TIMEFRAMES)


def add_audit(command: argparse.ArgumentParser) -> None:
    """Add what `audit` takes."""
    _add_common(command)
    command.add_argument(
        "--from", dest="from_ms", type=time_ms, metavar="T", help="from here on; default: 48 hours before --to"
    )
    command.add_argument(
        "--intervals",
        type=intervals,
        default=TIMEFRAMES,
        metavar="I,...",
        help=f"default: {','.join(TIMEFRAMES)}",
    )
    command.add_argument(
        "--fix", action="store_true", help="put right what differs; touches nothing but the candles it found"
    )
    command.add_argument("--report", type=Path, metavar="FILE", help="write every difference to FILE, a JSON a line")


def add_backfill(command: argparse.ArgumentParser) -> None:
    """Add what `backfill` takes."""
    _add_common(command)
    command.add_argument("--from", dest="from_ms", type=time_ms, metavar="T", required=True, help="from here on")


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--to", dest="to_ms", type=time_ms, metavar="T", help="up to here, excluded; default: now")
    command.add_argument(
        "--pairs",
        nargs="+",
        default=[],
        metavar="PATTERN",
        help="of the configured pairs only these, halted and delisted ones too: 'BTC/*' 'ETH/USDT:USDT'",
    )
    command.add_argument(
        "--share",
        type=share,
        metavar="N",
        help="percent of the exchange's weight limit; default: half of exchange.weight_share_percent",
    )


def time_ms(text: str) -> int:
    """Read 2026-10-01 or 2026-10-01T12:00, UTC unless it names an offset; UTC ms."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 2026-10-01 or 2026-10-01T12:00 (UTC)") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    found = round(moment.timestamp() * 1000)
    if found < EARLIEST_MS:
        raise argparse.ArgumentTypeError(f"{text!r} is before 2019: the exchange has nothing so old")
    return found


def share(text: str) -> int:
    """Read a whole percent from 1 to 75."""
    if not text.isdecimal() or not 1 <= int(text) <= 75:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole percent from 1 to 75 (all together stop at 80)")
    return int(text)


def intervals(text: str) -> tuple[str, ...]:
    """Read intervals apart by commas; returned shortest first."""
    wanted = text.split(",")
    for timeframe in wanted:
        if timeframe not in TIMEFRAMES:
            raise argparse.ArgumentTypeError(f"{timeframe!r} is not one of {', '.join(TIMEFRAMES)}")
    return tuple(timeframe for timeframe in TIMEFRAMES if timeframe in wanted)
