"""The check's own reading of /metrics finds a broken law."""

import pytest

from tools.demo.metrics import broken_laws, parse

TEXT = """\
# HELP marketdata_frames_received_total Frames that arrived
# TYPE marketdata_frames_received_total counter
marketdata_frames_received_total{exchange="BINANCE_FUTURES",channel="candles_3m"} 100.0
marketdata_frames_used_total{exchange="BINANCE_FUTURES",channel="candles_3m"} 3.0
marketdata_frames_invalid_total{exchange="BINANCE_FUTURES",channel="candles_3m",reason="malformed"} 1.0
marketdata_frames_filtered_total{exchange="BINANCE_FUTURES",channel="candles_3m",reason="open"} 90.0
marketdata_frames_filtered_total{exchange="BINANCE_FUTURES",channel="candles_3m",reason="duplicate"} 6.0
marketdata_points_produced_total{store="main"} 1.6e+03
marketdata_points_recovered_from_spool_total{store="main"} 10.0
marketdata_points_acknowledged_total{store="main"} 1500.0
marketdata_points_rejected_total{store="main"} 1.0
marketdata_points_dropped_total{store="main",reason="queue_full"} 9.0
marketdata_points_in_queue{store="main"} 20.0
marketdata_points_in_batch{store="main"} 30.0
marketdata_points_in_spool{store="main"} 50.0
process_open_fds 31.0
python_info{version="3.13"} 1.0
"""


def test_samples_are_summed_over_the_labels_that_are_not_asked_for() -> None:
    metrics = parse(TEXT)
    assert metrics.total("marketdata_frames_filtered_total", channel="candles_3m") == 96
    assert metrics.total("marketdata_frames_filtered_total", reason="open") == 90
    assert metrics.total("process_open_fds") == 31
    assert metrics.total("marketdata_no_such_thing") == 0


def test_both_laws_hold_where_everything_is_accounted_for() -> None:
    assert broken_laws(parse(TEXT)) == []


@pytest.mark.parametrize(
    ("line", "altered"),
    [
        ('channel="candles_3m"} 100.0', 'channel="candles_3m"} 101.0'),
        ('reason="duplicate"} 6.0', 'reason="duplicate"} 5.0'),
        ('acknowledged_total{store="main"} 1500.0', 'acknowledged_total{store="main"} 1499.0'),
        ('dropped_total{store="main",reason="queue_full"} 9.0', 'dropped_total{store="main",reason="queue_full"} 8.0'),
    ],
)
def test_a_single_frame_or_point_too_many_breaks_a_law(line: str, altered: str) -> None:
    assert line in TEXT
    assert len(broken_laws(parse(TEXT.replace(line, altered)))) == 1


def test_metrics_without_frames_and_points_prove_nothing() -> None:
    assert broken_laws(parse("process_open_fds 31.0\n"))
