"""`make lint`: every check that needs no server. All of them run; if one fails, the exit code is 1.

python -m tools.lint
"""

import os
import subprocess
import sys
from pathlib import Path

from tools.bootstrap import programs
from tools.bootstrap.uv import find_uv

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def main() -> int:
    """Run every check and list the failed ones; returns 0 if there are none."""
    # ansible-lint runs ansible's own commands from PATH, and must find our modules through ansible.cfg.
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
        "ANSIBLE_HOME": str(ROOT / ".ansible"),
        "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"),
    }
    failed = []
    for name, command in checks().items():
        print(f"== {name}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
            failed.append(name)
    print(f"lint: {'failed: ' + ', '.join(failed) if failed else 'clean'}")
    return 1 if failed else 0


def checks() -> dict[str, list[str]]:
    """Return the commands by name. Checks without any files yet are skipped with a message."""
    uv, _ = find_uv()
    found = {
        "ruff": [str(BIN / "ruff"), "check"],
        "ruff format": [str(BIN / "ruff"), "format", "--check"],
        "mypy": [str(BIN / "mypy")],
        "yamllint": [str(BIN / "yamllint"), "--strict", "."],
        "dashboards": [sys.executable, "-m", "grafana", "--check"],
        "uv.lock": [*uv, "lock", "--check", "--quiet", "--python", sys.executable],
        "alertmanager": [sys.executable, "-m", "tools.generate.alertmanager", "--check"],
        "blackbox.yml": [_program("blackbox_exporter"), "--config.file=prometheus/blackbox.yml", "--config.check"],
        "docs/metrics.md": [sys.executable, "-m", "tools.generate.metrics_docs", "--check"],
    }
    if list((ROOT / "ansible").glob("**/*.yml")):
        found["ansible-lint"] = [str(BIN / "ansible-lint"), "--offline", "--strict", "-q", "ansible"]
    else:
        print("ansible-lint: no playbook or role yet")
    return found | promtool_checks()


def promtool_checks() -> dict[str, list[str]]:
    """Return promtool commands for every rules file, rules test and scrape configuration under prometheus/."""
    folder = ROOT / "prometheus"
    rules = sorted(folder.glob("rules/*.yml"))
    tests = sorted(folder.glob("tests/*.yml"))
    configs = sorted(folder.glob("prometheus*.yml"))
    if not rules + tests + configs:
        print("promtool: nothing under prometheus/ yet")
        return {}
    command = _program("promtool")
    found = {}
    if rules:
        found["promtool rules"] = [command, "check", "rules", "--lint-fatal", *map(str, rules)]
    if tests:
        found["promtool tests"] = [command, "test", "rules", *map(str, tests)]
    for config in configs:
        found[f"promtool {config.name}"] = [command, "check", "config", "--lint-fatal", str(config)]
    return found


def _program(name: str) -> str:
    return str(programs.find(name) or name)  # if it is missing, running it fails, and so does lint


if __name__ == "__main__":
    sys.exit(main())
