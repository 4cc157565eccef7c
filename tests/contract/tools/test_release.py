"""A release holds what its services need, by its hashes, and comes out the same from the same source."""

import hashlib
import io
import tarfile
from pathlib import Path

from tools import release

WHEELS = {Path("marketdata-0.1.0-py3-none-any.whl"): b"1", Path("marketdata_platform-0.1.0-py3-none-any.whl"): b"2"}
LOCKED = "aiohttp==3.14.5 \\\n    --hash=sha256:00\n"


def test_our_own_wheels_are_required_by_their_hashes_too() -> None:
    text = release.requirements_text("x86_64", LOCKED, WHEELS)
    digest = hashlib.sha256(b"2").hexdigest()
    assert f"marketdata-platform==0.1.0 --hash=sha256:{digest}" in text.splitlines()
    assert LOCKED.strip() in text


def test_another_wheel_another_lock_or_another_machine_is_another_release() -> None:
    changed = {**WHEELS, Path("marketdata_platform-0.1.0-py3-none-any.whl"): b"3"}
    names = {
        release.release_name(release.requirements_text(machine, locked, wheels))
        for machine, locked, wheels in (
            ("x86_64", LOCKED, WHEELS),
            ("aarch64", LOCKED, WHEELS),
            ("x86_64", LOCKED + "aiodns==4.0.4 --hash=sha256:00\n", WHEELS),
            ("x86_64", LOCKED, changed),
        )
    }
    assert len(names) == 4


def test_an_archive_depends_on_names_and_content_alone() -> None:
    files = {"wheels/b.whl": b"b", "requirements.txt": b"a"}
    packed = release.archive(files)
    assert packed == release.archive(dict(reversed(files.items())))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["requirements.txt", "wheels/b.whl"]
