"""The demo's folder: it contains everything of a run and is used by one run at a time."""

import fcntl
import os
import shutil
from pathlib import Path


class InUse(Exception):
    """Another demo is running in this folder."""


class Folder:
    """.demo: cleared at the start, readable only by its owner; the files of a run stay until the next one.

    Raises InUse.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise InUse(f"another demo runs in {path}: end it first (Ctrl-C)") from error
        path.chmod(0o700)
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for part in (self.logs, self.secrets, self.data):
            part.mkdir(mode=0o700)

    def release(self) -> None:
        """Release the folder for the next run."""
        os.close(self._lock)

    @property
    def logs(self) -> Path:
        """One file per process."""
        return self.path / "logs"

    @property
    def secrets(self) -> Path:
        """Token files, 0600."""
        return self.path / "secrets"

    @property
    def data(self) -> Path:
        """The data of InfluxDB, Prometheus and the collector."""
        return self.path / "data"

    @property
    def tls(self) -> Path:
        """The simulator's CA."""
        return self.path / "tls"

    @property
    def run_file(self) -> Path:
        """The facts about the run: tools.demo.run.Run."""
        return self.path / "run.json"

    @property
    def summary_file(self) -> Path:
        """The results of the check."""
        return self.path / "summary.json"
