"""Tokens on disk: one file each, readable by its owner alone, written whole or not at all."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from .errors import InvalidInput, ReconcileError
from .observed import TokenFile
from .plan import digest


def read_token(path: Path) -> str | None:
    """The token in the file; None if there is no file or nothing in it."""
    try:
        token = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReconcileError(f"{path}: cannot read the token: {error}") from error
    if not re.fullmatch(rb"[!-~]*", token):
        raise InvalidInput(f"{path}: the token, allowed: one line of visible ASCII characters")
    return token.decode() or None


def write_token(path: Path, token: str) -> None:
    """Replace the file at once; its folder is created if it is missing, for the owner alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise ReconcileError(f"{path}: cannot write the token: {error}") from error


def protect(path: Path) -> None:
    path.chmod(0o600)


def observe_files(folder: Path) -> dict[str, TokenFile]:
    """Every token file of the folder by name."""
    files = {}
    for path in sorted(folder.glob("*.token")):
        token = read_token(path)
        if token is not None:
            files[path.name] = TokenFile(digest(token), stat.S_IMODE(path.stat().st_mode) & 0o077 == 0)
    return files
