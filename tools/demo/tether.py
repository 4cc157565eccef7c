"""Runs a command that the kernel kills when the process that started it dies, for any reason.

    python tether.py PARENT_PID COMMAND ...

The demo starts its children this way, so even a SIGKILL of the demo leaves no process behind. Linux only
(prctl(2), PR_SET_PDEATHSIG, which survives exec); on other systems the command just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
