"""`make lab-up lab-converge lab-verify lab-down`: the platform's own playbook on containers that run systemd.

    python -m tools.lab up | converge [ANSIBLE-PLAYBOOK OPTIONS] | verify [ANSIBLE-PLAYBOOK OPTIONS] | down

Exit codes: 0 done, 1 failed, that of ansible-playbook, 2 for an invalid argument.
"""

import os
import subprocess
import sys

from tools.lab import containers, plays
from tools.lab.hosts import Lab, from_environment
from tools.lab.image import NoImage

USAGE = "usage: python -m tools.lab up | converge [OPTIONS OF ansible-playbook] | verify [OPTIONS] | down"


def main(arguments: list[str]) -> int:
    """Run the command; print one line if it fails."""
    here = from_environment()
    try:
        match arguments:
            case ["up"]:
                containers.up(here)
            case ["converge", *options]:
                playbooks = ("playbooks/lab-exchange.yml", "playbooks/lab-legacy.yml", "site.yml")
                return next((code for playbook in playbooks if (code := _play(here, playbook, *options))), 0)
            case ["verify", *options]:
                return _play(here, "verify.yml", *options)
            case ["down"]:
                containers.down(here)
            case _:
                print(USAGE, file=sys.stderr)
                return 2
    except (NoImage, containers.NoLab) as reason:
        print(f"lab: {reason}", file=sys.stderr)
        return 1
    return 0


def _play(here: Lab, playbook: str, *options: str) -> int:
    return subprocess.run(
        plays.command(here, playbook, *options),
        cwd=plays.ANSIBLE,
        env={**os.environ, **plays.environment(here)},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
