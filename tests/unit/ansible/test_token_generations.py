"""Which tokens there are, and the generations that a rotation asks for."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PLUGIN = Path(__file__).resolve().parents[3] / "ansible/plugins/filter/tokens.py"


@pytest.fixture(scope="module")
def plugin() -> ModuleType:
    """The file as Ansible loads it: it is in no package."""
    specification = importlib.util.spec_from_file_location("tokens_filter", PLUGIN)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_consumer_of_every_kind_has_a_token(plugin: ModuleType) -> None:
    consumers = {"ingest": ["c1", "c2"], "reader": ["grafana-m1"], "repair": []}
    assert plugin.token_names(consumers) == ["ingest-c1", "ingest-c2", "reader-grafana-m1"]


def test_a_generation_is_raised_by_one_and_the_others_stay(plugin: ModuleType) -> None:
    assert plugin.raised({"ingest-c1": 4, "repair-c1": 2}, ["ingest-c1", "ingest-c2"]) == {
        "ingest-c1": 5,
        "ingest-c2": 2,
        "repair-c1": 2,
    }


def test_a_rotation_of_nothing_changes_nothing(plugin: ModuleType) -> None:
    assert plugin.raised({"a-b": 3}, []) == {"a-b": 3}
