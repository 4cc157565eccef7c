"""Files that are either complete or absent after a crash or a power cut. Blocking calls."""

import json
import os
from pathlib import Path
from typing import Any


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut: a rename, link or unlink is durable only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and sync its content to disk; its name is durable only after `fsync_folder`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_durably(path: Path, content: bytes) -> None:
    """Create or replace a file; its folder is created if needed.

    A crash leaves either the old or the new file, and perhaps `<name>.tmp`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    half_written = path.with_name(path.name + ".tmp")
    write_synced(half_written, content)
    half_written.replace(path)
    fsync_folder(path.parent)


def write_json_durably(path: Path, document: Any) -> None:
    """Create or replace a file with a JSON document."""
    write_durably(path, json.dumps(document, ensure_ascii=False).encode())
