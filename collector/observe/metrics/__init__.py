"""Every metric of the collector, read from the parts at scrape time: nothing is counted twice, nothing per event.

One module a subject; names, labels and meanings are documented in docs/metrics.md (a test compares). Timestamps, not
ages; base units.
"""

from collector.observe.metrics.exposition import Exposition
from collector.observe.metrics.histograms import Histograms
from collector.observe.metrics.parts import Parts, Watching

__all__ = ["Exposition", "Histograms", "Parts", "Watching"]
