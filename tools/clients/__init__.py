"""freqtrade and ccxt as their users run them, in an environment of their own, against any address."""
