"""`make lab-up lab-down`: the hosts of ansible/inventories/lab as containers that run systemd.

    python -m tools.lab up | down

Exit codes: 0 done, 1 failed, 2 for a wrong argument.
"""

import sys

from tools.lab import containers
from tools.lab.hosts import lab
from tools.lab.image import NoImage

USAGE = "usage: python -m tools.lab up | down"


def main(arguments: list[str]) -> int:
    """Run the command; one line on what failed."""
    here = lab()
    try:
        match arguments:
            case ["up"]:
                containers.up(here)
            case ["down"]:
                containers.down(here)
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (NoImage, containers.NoLab) as reason:
        print(f"lab: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
