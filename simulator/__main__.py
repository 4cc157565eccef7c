"""`python -m simulator --port 9443 --tls-dir DIR`: a Binance USDT-M exchange on one TLS port."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from simulator import tls
from simulator.server import Options, Simulator

_OLDEST_START_MS = 1_600_000_000_000
_NEWEST_START_MS = 4_000_000_000_000


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"simulator: {message}\n")


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="simulator", description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=_whole(0, 65_535), required=True, help="0: choose a free one")
    parser.add_argument("--tls-dir", type=Path, required=True, help="folder for ca.pem, the certificate and the keys")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--tls-name", action="append", default=[], help="an additional host name or address for the certificate"
    )
    parser.add_argument("--pairs", type=_whole(1, 2_000), default=164, help="eligible pairs (default 164)")
    parser.add_argument("--base", action="append", default=[], help="name of a coin for an additional eligible pair")
    parser.add_argument("--seed", type=_whole(0, 2**63 - 1), default=1, help="seed of the market")
    parser.add_argument(
        "--start-ms", type=_whole(_OLDEST_START_MS, _NEWEST_START_MS), help="initial time of the clock; default: now"
    )
    parser.add_argument("--ping-seconds", type=_seconds, default=180.0, help="interval between the server's pings")
    parser.add_argument(
        "--pong-seconds", type=_seconds, default=600.0, help="close a connection after this long without a pong"
    )
    parser.add_argument("--life-seconds", type=_seconds, default=86_400.0, help="lifetime of a connection")
    parser.add_argument(
        "--kline-every-ms",
        type=_whole(250, 60_000),
        help="for load: send a frame of each candle this often, changed or not",
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing except the line `ready`")
    return parser.parse_args(argv)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be from {low} to {high}, not {value}")
        return value

    number.__name__ = "whole number"
    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 1e9:
        raise argparse.ArgumentTypeError(f"must be seconds, at least 0.05, not {text}")
    return value


async def _serve(arguments: argparse.Namespace) -> int:
    options = Options(
        host=arguments.host,
        port=arguments.port,
        pairs=arguments.pairs,
        bases=tuple(arguments.base),
        seed=arguments.seed,
        start_ms=arguments.start_ms,
        ping_seconds=arguments.ping_seconds,
        pong_seconds=arguments.pong_seconds,
        life_seconds=arguments.life_seconds,
        kline_every_ms=arguments.kline_every_ms,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    names = (*tls.NAMES, arguments.host, *arguments.tls_name)
    try:
        simulator = Simulator(options, tls.server_context(arguments.tls_dir, names))
        port = await simulator.start()
    except OSError as error:
        print(
            f"simulator: cannot serve on {options.host}:{options.port} with {arguments.tls_dir}: {error}",
            file=sys.stderr,
        )
        return 2
    print(f"ready https://{options.host}:{port}", flush=True)
    heart = loop.create_task(simulator.run())
    stopped = loop.create_task(stop.wait())
    await asyncio.wait((heart, stopped), return_when=asyncio.FIRST_COMPLETED)
    await simulator.stop()
    if heart.done():
        heart.result()  # it never returns normally: raises the error that ended it
    heart.cancel()
    return 0


def main(argv: list[str] | None = None) -> int:
    return asyncio.run(_serve(_parse(argv)))


if __name__ == "__main__":
    sys.exit(main())
