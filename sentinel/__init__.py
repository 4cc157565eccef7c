"""The sentinel reads candles and roll-ups back from every store and exports their age and completeness."""
