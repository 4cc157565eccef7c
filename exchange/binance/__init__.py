"""Binance USDT-M futures: everything that is this exchange's own. Facts and traps: docs/binance.md."""
