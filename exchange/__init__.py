"""Binance USDT-M futures over REST: client, weight table, budget, ban circuit and the universe of symbols.

`client.ExchangeClient` asks, `budget.Budget` says when it may, `universe.parse` says what there is to ask for.
"""
