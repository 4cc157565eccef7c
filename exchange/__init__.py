"""Exchanges: what all have in common, and a folder with an adapter for each.

`client.ExchangeClient` is what is asked by REST, `budget.Budget` says when, `feed` is how streams come in, `rows`,
`events` and `universe` are what comes. `adapters.ADAPTERS` has every exchange by its id.
"""
