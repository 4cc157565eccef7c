"""Stored numbers as the exchange writes them. Pure."""


def eight_decimals(value: float) -> str:
    """Return a price or rate with the 8 decimals of mark prices and funding; exact up to seven digits before them."""
    text = f"{value:.8f}"
    return text.removeprefix("-") if text == "-0.00000000" else text
