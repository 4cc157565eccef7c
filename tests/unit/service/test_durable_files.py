"""A file is either the old one or the new one, never half of it, and its folder is created."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.durable_files import write_durably, write_json_durably


def test_a_file_is_created_with_its_folder_and_replaced_later(tmp_path: Path) -> None:
    path = tmp_path / "state" / "of" / "collector.json"
    write_durably(path, b"old and longer")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "collector.json"
    write_durably(path, b"old")
    path.with_name("collector.json.tmp").mkdir()
    with pytest.raises(IsADirectoryError):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_half_written_file_from_a_crash_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "collector.json"
    path.with_name("collector.json.tmp").write_bytes(b"half")
    write_durably(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.lists(st.integers()) | st.none()))
def test_a_document_is_read_back_unchanged(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    path = tmp_path_factory.mktemp("state") / "document.json"
    write_json_durably(path, document)
    assert json.loads(path.read_text(encoding="utf-8")) == document
