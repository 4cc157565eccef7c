"""What the demo takes from its environment."""

from pathlib import Path

import pytest

from tools.demo.settings import BadSetting, Settings, from_environment


def test_empty_variables_count_as_unset_since_make_passes_them_so() -> None:
    assert from_environment({"DEMO_SECONDS": "", "EXCHANGE": "", "DEMO_PAIRS": ""}) == Settings()


def test_what_is_set_is_taken() -> None:
    settings = from_environment({"DEMO_SECONDS": "240", "DEMO_PAIRS": "12", "DEMO_FOLDER": "/elsewhere"})
    assert (settings.exchange, settings.seconds, settings.pairs) == ("simulator", 240, 12)
    assert settings.folder == Path("/elsewhere")


@pytest.mark.parametrize(
    "environment",
    [
        {"DEMO_SECONDS": "soon"},
        {"DEMO_SECONDS": "0"},
        {"DEMO_SECONDS": "-5"},
        {"DEMO_SECONDS": "1.5"},
        {"EXCHANGE": "kraken"},
        {"DEMO_PAIRS": "many"},
        {"DEMO_PAIRS": "12", "EXCHANGE": "binance"},
    ],
)
def test_a_bad_value_is_one_line_that_names_variable_and_value(environment: dict[str, str]) -> None:
    name, value = next(iter(environment.items()))
    with pytest.raises(BadSetting) as caught:
        from_environment(environment)
    assert f"{name}={value}" in str(caught.value)
    assert "\n" not in str(caught.value)
