"""The gateway: Binance's market-data REST for a fleet of bots, answered from collectors and stores."""
