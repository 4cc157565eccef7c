"""The rules compare ages with the times that the services go by."""

import re

from marketdata.thresholds import STALE_MS
from marketdata.timeframes import BASE_MS
from tests.support.rules import rules


def test_a_pair_is_stale_in_the_rules_when_it_is_for_the_services() -> None:
    (stale,) = (rule["expr"] for rule in rules() if rule.get("record") == "exchange_pair_channel:marketdata_stale:bool")
    limits = dict(re.findall(r'channel(!?=)"candles_3m"\} > bool (\d+)', stale))
    assert limits == {"=": str((BASE_MS + STALE_MS) // 1000), "!=": str(STALE_MS // 1000)}


def test_a_candle_is_claimed_as_present_while_it_is_not_stale() -> None:
    (claimed,) = (
        rule["expr"] for rule in rules() if rule.get("record") == "exchange_pair:marketdata_candle_claimed:bool"
    )
    assert re.findall(r"age_seconds:min <= bool (\d+)", claimed) == [str((BASE_MS + STALE_MS) // 1000)]
