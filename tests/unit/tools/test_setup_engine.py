"""Nobody's machine gets a Docker engine unasked: who is asked, and who is told the command."""

import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from tools.bootstrap import engine, images


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Docker, whose apt-get leaves a mark when it is run."""
    mark = tmp_path / "apt-get-was-run"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho no network >&2\necho run > {mark}\nexit 100\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return mark


def test_without_root_the_command_is_told(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(engine.NoEngine, match="apt-get install"):
        engine.ensure()
    assert not no_engine.exists()


def test_a_person_who_says_no_gets_no_engine(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("\n"))
    with pytest.raises(engine.NoEngine):
        engine.ensure()
    assert not no_engine.exists()


def test_where_nobody_can_answer_it_is_installed(no_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(engine.NoEngine, match="no network"):  # the apt-get of this test has none
        engine.ensure()
    assert no_engine.exists()


def test_the_image_made_here_holds_the_program_with_its_libraries(tmp_path: Path) -> None:
    shell = Path("/bin/sh")
    libraries = images.shared_libraries(shell)
    assert any(library.name.startswith("ld-") for library in libraries)
    with tarfile.open(fileobj=io.BytesIO(images.root_filesystem(shell))) as tar:
        program = tar.getmember(images.INFLUXD.lstrip("/"))
        assert (program.isfile(), program.mode & 0o111) == (True, 0o111)
        assert {str(library).lstrip("/") for library in libraries} <= set(tar.getnames())
        assert all(tar.getmember(str(library).lstrip("/")).isfile() for library in libraries)
