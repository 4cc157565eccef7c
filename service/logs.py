"""Logging of a service, for systemd and for terminals."""

import logging
import sys


def log_to_stderr(level: str) -> None:
    """Log one logfmt-like line per event; journald adds the time, a terminal needs it."""
    time = "%(asctime)s " if sys.stderr.isatty() else ""
    logging.basicConfig(stream=sys.stderr, level=level, format=time + "%(levelname)s %(name)s %(message)s")
