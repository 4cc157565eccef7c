"""Every metric of the collector, read from the parts at scrape time: nothing is counted twice or per event.

One module per subject; docs/metrics.md documents names, labels and meanings (a test compares). Timestamps instead of
ages; base units.
"""

from collector.observe.metrics.exposition import Exposition
from collector.observe.metrics.histograms import Histograms
from collector.observe.metrics.parts import Parts, Watching

__all__ = ["Exposition", "Histograms", "Parts", "Watching"]
