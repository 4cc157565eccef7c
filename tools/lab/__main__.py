"""`make lab-up lab-converge lab-verify lab-down`: the platform's own playbook on containers that run systemd.

    python -m tools.lab up | converge [ANSIBLE-PLAYBOOK OPTIONS] | down

Exit codes: 0 done, 1 failed, that of ansible-playbook, 2 for a wrong argument.
"""

import os
import subprocess
import sys

from tools.lab import containers, plays
from tools.lab.hosts import lab
from tools.lab.image import NoImage

USAGE = "usage: python -m tools.lab up | converge [OPTIONS OF ansible-playbook] | down"


def main(arguments: list[str]) -> int:
    here = lab()
    try:
        match arguments:
            case ["up"]:
                containers.up(here)
            case ["converge", *options]:
                return _play(plays.command(here, "playbooks/lab-exchange.yml", *options)) or _play(
                    plays.command(here, "site.yml", *options)
                )
            case ["down"]:
                containers.down(here)
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (NoImage, containers.NoLab) as reason:
        print(f"lab: {reason}", file=sys.stderr)
        return 1
    return 0


def _play(command: list[str]) -> int:
    environment = {**os.environ, **plays.environment(lab())}
    return subprocess.run(command, cwd=plays.ANSIBLE, env=environment, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
