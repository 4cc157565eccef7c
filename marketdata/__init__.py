"""Read candles, funding rates and mark prices from the market-data store.

Import the module you need, usually `marketdata.reader`. This file imports nothing, so that code that only writes to the
store does not have to load pandas.
"""
