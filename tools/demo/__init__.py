"""`make demo`: the whole platform on this machine, shown live, and checked against the exchange.

Nothing here imports collector, exchange or marketdata, because the check must not share their mistakes.
"""
