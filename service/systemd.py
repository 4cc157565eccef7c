"""systemd and a service: its credentials, its unit, and the notifications it sends: ready, alive, status.

See sd_notify(3) and systemd.exec(5). A service started by hand has nobody to notify, and sends nothing.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
CREDENTIALS = f"${CREDENTIALS_VARIABLE}"

UNIT_FOLDERS = tuple(
    Path(folder)
    for folder in (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
    )
)
"""Where systemd looks for the drop-ins of system services, in order of precedence (systemd.unit(5))."""

EMPTIED = re.compile(r"^[ \t]*LoadCredential[ \t]*=[ \t]*$", re.MULTILINE)
"""An empty assignment resets all earlier ones."""


def in_credentials(path: Path, command: str) -> Path:
    """Return a path whose first part may be `$CREDENTIALS_DIRECTORY`, where systemd puts a service's credentials.

    `command` is what an operator runs instead, to have it set. Raises ValueError, for a model's validator.
    """
    if path.parts[:1] != (CREDENTIALS,):
        return path
    if CREDENTIALS_VARIABLE not in os.environ:
        if unit := own_unit(os.environ):
            raise ValueError(f"systemd gave {unit} no credentials: {why_without(unit)}")
        raise ValueError(f"only systemd sets {CREDENTIALS}, for its service: run {command}, or name a file")
    return Path(os.environ[CREDENTIALS_VARIABLE], *path.parts[1:])


def missing_credential(path: Path) -> str:
    """Return, in one line, why a file is not in `$CREDENTIALS_DIRECTORY`; empty for any other path."""
    folder = os.environ.get(CREDENTIALS_VARIABLE)
    if not folder or not path.is_relative_to(folder):
        return ""
    unit = own_unit(os.environ) or "this service"
    try:
        held = sorted(file.name for file in Path(folder).iterdir())
    except OSError:
        held = []
    if held:
        return f"the unit only provides {', '.join(held)}: correct LoadCredential= or the name (systemctl cat {unit})"
    return f"the credentials directory is empty: {why_without(unit)}"


def why_without(unit: str, folders: Sequence[Path] = UNIT_FOLDERS) -> str:
    """Return why a service got no credentials at all, and what to do: a drop-in resets them, or its unit names none.

    Container managers ship such a drop-in for every service (LXC: service.d/zzz-lxc-service.conf).
    """
    emptied = [file for file in _drop_ins(unit, folders) if EMPTIED.search(_text(file))]
    if not emptied:
        return f"its unit has no LoadCredential= (systemctl cat {unit})"
    later = f"/etc/systemd/system/{unit}.d/{'z' * 5}-credentials.conf"
    return (
        f"the drop-in {emptied[-1]} resets LoadCredential=: remove it, or repeat the unit's LoadCredential= lines in"
        f" {later}, which is read after it; then systemctl daemon-reload"
    )


def own_unit(environment: Mapping[str, str], cgroup: Path = Path("/proc/self/cgroup")) -> str:
    """Return the systemd service whose main process this is; empty if it is none (a shell, a test)."""
    name = _text(cgroup).strip().rpartition("/")[2]
    return name if "INVOCATION_ID" in environment and name.endswith(".service") else ""


def _drop_ins(unit: str, folders: Sequence[Path]) -> Iterator[Path]:
    """The drop-ins of a service in the order they are read: by name; for each name the first folder wins."""
    stem = unit.removesuffix(".service")
    prefixes = [stem[: dash.end()] for dash in re.finditer("-", stem)]
    groups = [f"{unit}.d", *(f"{prefix}.service.d" for prefix in reversed(prefixes)), "service.d"]
    found: dict[str, Path] = {}
    for group in groups:
        for folder in folders:
            for file in (folder / group).glob("*.conf"):
                found.setdefault(file.name, file)
    return (found[name] for name in sorted(found))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class Notifier:
    """Sends lines to the socket that systemd named in the environment; ``watchdog_seconds`` is None without one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds: float | None = None
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = int(environment.get("WATCHDOG_USEC", "0"))
            self.watchdog_seconds = microseconds / 1e6 or None

    def tell(self, *lines: str) -> None:
        """Send the lines as one message. If systemd does not accept it at once, it is dropped: the next one follows."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            try:
                sender.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
            except OSError:  # full, or systemd is being replaced: the next watchdog ping follows within seconds
                return
