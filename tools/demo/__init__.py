"""`make demo`: the whole path on this machine, seen live, and checked against the exchange.

Nothing here imports collector, exchange or marketdata: what judges them must not share their mistakes.
"""
