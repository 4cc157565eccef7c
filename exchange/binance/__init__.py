"""Binance USDT-M futures: everything specific to this exchange. Facts and traps: docs/binance.md."""
