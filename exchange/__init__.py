"""Exchanges: what they have in common, and a folder with the adapter for each.

`client.ExchangeClient` is the REST client, `budget.Budget` decides when requests may be sent, `feed` defines how
streams arrive, and `rows`, `events` and `universe` are the data. `adapters.ADAPTERS` has every exchange by its id.
"""
