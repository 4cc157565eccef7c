"""The gateway: Binance's market-data REST API for a fleet of bots, answered from collectors and stores."""
