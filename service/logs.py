"""How a service's process logs, to systemd and to a terminal."""

import logging
import sys


def log_to_stderr(level: str) -> None:
    """One logfmt-like line each; journald adds the time, a terminal wants it."""
    time = "%(asctime)s " if sys.stderr.isatty() else ""
    logging.basicConfig(stream=sys.stderr, level=level, format=time + "%(levelname)s %(name)s %(message)s")
