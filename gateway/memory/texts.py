"""Stored numbers as the exchange writes them: with its decimals of today, and never with fewer than are stored. Pure.

A symbol's precision can shrink, and its older prices and volumes keep the decimals that they were traded with.
"""

from decimal import Decimal

#: A sum of n doubles is off by n half units of the last bit at most; twice that for good measure.
_UNIT = 2.0**-52


def decimals(value: float, least: int) -> str:
    """Return a number with `least` decimals, or with as many as it has, where it has more.

    A double holds 15 significant digits, so a text of so many comes out as it went in.
    """
    text = f"{value:.{least}f}"
    if float(text) != value:
        text = f"{Decimal(repr(value)):f}"
    return text.removeprefix("-") if value == 0 else text


def summed(value: float, least: int, count: int) -> str:
    """`decimals` of a sum of `count` doubles: without the digits that only the adding made."""
    error = count * _UNIT * abs(value)
    text = f"{value:.{least}f}"
    while abs(float(text) - value) > error:
        least += 1
        text = f"{value:.{least}f}"
    return text


def eight_decimals(value: float) -> str:
    """Return a price or rate with the 8 decimals of mark prices and funding."""
    return decimals(value, 8)
