"""A host of the lab beside Ansible: what is on it, and what it reaches."""

import subprocess
from pathlib import Path

from tools.lab.hosts import Lab

SCRIPTS = Path(__file__).parent / "on_hosts"
# All that a play may put somewhere; not what systemd notes down while it runs.
STATE = """
find /etc /usr/local /opt /srv /root /var/lib -xdev -not -path '/var/lib/systemd/*' \\
    -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort
getent passwd; getent group
nft --stateless list tables; nft --stateless list table inet marketdata 2>&1
systemctl list-unit-files --state=enabled --no-legend
systemctl list-units --type=service --state=active --plain --no-legend | grep -v -e 'apt-daily' -e 'user@' -e 'session'
"""


class Machine:
    """One host, by a way in that no firewall rule closes."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self.address = lab.addresses[name]
        self._container = lab.container(name)

    def run(self, command: str, stdin: str | None = None) -> str:
        """The output of a shell command as root; AssertionError with all it said if it fails."""
        done = self._exec(command, stdin)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def script(self, name: str, *arguments: str) -> str:
        """The output of a Python file of on_hosts/, run there as root."""
        return self.run(f"python3 - {' '.join(arguments)}", (SCRIPTS / name).read_text(encoding="utf-8"))

    def state(self) -> list[str]:
        """What a play could have changed."""
        return self.run(STATE).splitlines()

    def reaches(self, other: "Machine", port: int) -> bool:
        """Whether a TCP connection opens."""
        return self._exec(f"timeout 2 bash -c '</dev/tcp/{other.address}/{port}'", None).returncode == 0

    def _exec(self, command: str, stdin: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", "--interactive", self._container, "sh", "-c", command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
