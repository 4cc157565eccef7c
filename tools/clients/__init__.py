"""freqtrade and ccxt as their users run them, in their own environment, against any address."""
