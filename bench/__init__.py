"""Performance figures: what docs/performance.md tells, measured anew."""
