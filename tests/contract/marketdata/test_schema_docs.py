"""docs/schema.md says what marketdata.schema says."""

import re
from pathlib import Path

import pytest

from marketdata import schema

REPO = Path(__file__).parents[3]
PAGE = (REPO / "docs" / "schema.md").read_text(encoding="utf-8")


def sections() -> dict[str, tuple[str, str]]:
    """Return (bucket, text) of every measurement's section."""
    found = {}
    for bucket in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        name, _, text = bucket.partition("\n")
        for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
            measurement, _, body = section.partition("\n")
            found[measurement.strip()] = (name.strip(), body)
    return found


def test_every_measurement_has_its_section_under_its_bucket_and_no_other_does() -> None:
    assert {name: bucket for name, (bucket, _) in sections().items()} == {
        name: measurement.bucket for name, measurement in schema.MEASUREMENTS.items()
    }


@pytest.mark.parametrize("name", schema.MEASUREMENTS)
def test_a_measurements_time_tags_and_fields_are_documented_as_they_are(name: str) -> None:
    measurement, (_, body) = schema.MEASUREMENTS[name], sections()[name]
    tags = ", ".join(f"`{tag}`" for tag in measurement.tags)
    assert f"Time: {measurement.time}. Tags: {tags}." in body
    rows = [tuple(re.split(r" *\| *", line.strip("| "))) for line in body.splitlines() if line.startswith("| ")]
    documented = [
        ("field", "type", "unit", "meaning"),
        *((f.name, f.type, f.unit, f.meaning) for f in measurement.fields),
    ]
    assert rows == documented


def test_the_buckets_exchange_and_channels_are_named() -> None:
    names = (schema.BUCKET_RAW, schema.BUCKET_ROLLUP, schema.BUCKET_SAMPLES, schema.EXCHANGE, *schema.CHANNELS)
    assert all(f"`{name}`" in PAGE for name in names)
