"""The candles that closed since a release was rolled.

The last file by its name: by now they have closed, and nobody waits for them.
"""

import pytest

from tests.lab.audited import audit
from tests.lab.machine import Machine
from tests.lab.releases import Rolled


@pytest.mark.short
def test_no_candle_was_lost_by_the_roll_of_a_release_nor_since(rolled: Rolled, machines: dict[str, Machine]) -> None:
    audit(machines["collector1"], rolled.began)
