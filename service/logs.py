"""How a service's process speaks to systemd and a terminal: its log, and its exit code for a bad configuration."""

import logging
import sys

BAD_CONFIG = 2
"""Exit code for what an operator must mend first: no systemd unit of ours restarts on it."""


def log_to_stderr(level: str) -> None:
    """One logfmt-like line each; journald adds the time, a terminal wants it."""
    time = "%(asctime)s " if sys.stderr.isatty() else ""
    logging.basicConfig(stream=sys.stderr, level=level, format=time + "%(levelname)s %(name)s %(message)s")
