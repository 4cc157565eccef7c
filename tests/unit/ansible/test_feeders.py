"""How bots share pairs, and what a unit's files say it starts."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

PLUGINS = Path(__file__).resolve().parents[3] / "ansible/plugins"


def loaded(file: str) -> ModuleType:
    """A file as Ansible loads it: it is in no package."""
    specification = importlib.util.spec_from_file_location(Path(file).stem, PLUGINS / file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


FEEDERS = loaded("filter/feeders.py")
UNIT_FILES = loaded("module_utils/unit_files.py")


def test_three_bots_share_110_pairs_as_37_37_and_36_in_order() -> None:
    pairs = [f"P{n}/USDT:USDT" for n in range(110)]
    shares = FEEDERS.shared_out(pairs, ["a", "b", "c"])
    assert {bot: len(own) for bot, own in shares.items()} == {"a": 37, "b": 37, "c": 36}
    assert (shares["a"][0], shares["b"][0], shares["c"][-1]) == (pairs[0], pairs[37], pairs[109])


@given(st.integers(1, 200), st.integers(1, 7))
def test_every_pair_has_one_bot_and_no_bot_two_more_than_another(pairs: int, bots: int) -> None:
    names = [str(n) for n in range(pairs)]
    shares = FEEDERS.shared_out(names, [f"b{n}" for n in range(bots)])
    assert [name for own in shares.values() for name in own] == names
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["[Service]\nExecStart=/opt/ft/bin/freqtrade trade -c a.json\n"], ["/opt/ft/bin/freqtrade trade -c a.json"]),
        (
            ["[Service]\nExecStart = /bin/a --x \\\n  # a comment between\n  --y 'two words'\n"],
            ["/bin/a --x --y 'two words'"],
        ),
        (["[Unit]\nExecStart=/bin/no\n[Service]\nType=simple\n"], []),
        (["[Service]\nExecStart=/bin/a\n", "[Service]\nExecStart=\nExecStart=/bin/b\n"], ["/bin/b"]),
        (["[Service]\nExecStart=/bin/a\n", "[Service]\nEnvironment=X=1\n"], ["/bin/a"]),
        (["[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n"], ["/bin/a", "/bin/b"]),
        (["[Service]\n;ExecStart=/bin/a\nExecStartPre=/bin/b\nExecStart=/bin/c"], ["/bin/c"]),
    ],
)
def test_a_services_command_is_what_systemd_would_start(texts: list[str], found: list[str]) -> None:
    assert UNIT_FILES.commands(texts) == found
