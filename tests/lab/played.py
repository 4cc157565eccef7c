"""A play as the tests see it: what changed where, what it showed, what it printed."""

import re
import shlex
import shutil
from dataclasses import dataclass
from typing import Any

import ansible_runner

from tools.lab import plays
from tools.lab.hosts import INVENTORY, Lab


@dataclass(frozen=True)
class Played:
    """changed: names of tasks and handlers by host, without their role; diffs: what they showed, in order."""

    ok: bool
    changed: dict[str, list[str]]
    diffs: str
    output: str

    def __bool__(self) -> bool:
        return self.ok


def play(lab: Lab, playbook: str, *options: str, verbosity: int = 0) -> Played:
    """Run a playbook on the lab's hosts by ansible-runner, to its end."""
    folder = lab.folder / "runner"
    shutil.rmtree(folder / "env", ignore_errors=True)  # where the runner keeps the options of the run before
    folder.mkdir(exist_ok=True)
    run = ansible_runner.run(
        private_data_dir=str(folder),
        project_dir=str(plays.ANSIBLE),
        playbook=playbook,
        inventory=[str(INVENTORY), str(lab.overlay)],
        cmdline=shlex.join(options) or None,
        envvars={**plays.environment(lab), "ANSIBLE_NOCOLOR": "1"},
        settings={"fact_cache": str(plays.facts(lab))},  # else a new one for each run
        verbosity=verbosity or None,
        quiet=True,
    )
    with run.stdout as printed:
        output = re.sub(r"\x1b\[[0-9;]*m", "", printed.read())
    results = [event["event_data"] for event in run.events if event["event"] == "runner_on_ok"]
    changed: dict[str, list[str]] = {}
    for result in results:
        if result["res"].get("changed"):
            changed.setdefault(result["host"], []).append(result["task"])
    # A result that is censored does not say whether it changed anything; the statistics do.
    for host, count in run.stats["changed"].items():
        changed.setdefault(host, []).extend(["censored"] * (count - len(changed.get(host, []))))
    return Played(run.status == "successful", changed, "".join(map(_diff, results)), output)


def _diff(result: dict[str, Any]) -> str:
    shown = result["res"].get("diff") or []
    parts = shown if isinstance(shown, list) else [shown]
    return "".join(
        part.get("prepared", "") + _unified(str(part.get("before", "")), str(part.get("after", ""))) for part in parts
    )


def _unified(before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    gone = [f"-{line}\n" for line in old if line not in new]
    come = [f"+{line}\n" for line in new if line not in old]
    return "".join((*gone, *come))
