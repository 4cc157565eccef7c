"""Read candles, funding rates and mark prices from the market-data store."""
