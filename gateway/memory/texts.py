"""Writes stored numbers as the exchange does: with the decimals it uses today, but never fewer than are stored. Pure.

A symbol's precision can shrink, while its older prices and volumes keep the decimals they were traded with.
"""

from decimal import Decimal

#: A sum of n doubles is off by at most n half units of the last bit; this allows twice that.
_UNIT = 2.0**-52


def decimals(value: float, least: int) -> str:
    """Return a number with `least` decimals, or with as many as it has, if it has more.

    A double holds 15 significant digits, so a text with up to that many comes out unchanged.
    """
    text = f"{value:.{least}f}"
    if float(text) != value:
        text = f"{Decimal(repr(value)):f}"
    return text.removeprefix("-") if value == 0 else text


def summed(value: float, least: int, count: int) -> str:
    """Return `decimals` of a sum of `count` doubles, without the digits that are only rounding errors."""
    error = count * _UNIT * abs(value)
    text = f"{value:.{least}f}"
    while abs(float(text) - value) > error:
        least += 1
        text = f"{value:.{least}f}"
    return text


def eight_decimals(value: float) -> str:
    """Return a price or rate with the 8 decimals of mark prices and funding."""
    return decimals(value, 8)
