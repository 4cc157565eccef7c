"""Read candles, funding rates and mark prices from the market-data store.

Import the module you need, `marketdata.reader` first of all. Nothing is imported here: those who only write to the
store should not have to load pandas.
"""
