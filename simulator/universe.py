"""The simulated exchange's symbols: the eligible pairs, and others that must not confuse a client."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from simulator.market import DAY_MS, HOUR_MS, MarketShape
from simulator.noise import hash_at, key_of, share_at

PERPETUAL_DELIVERY_MS = 4_133_404_800_000
HISTORY_DAYS = 60
_DATA = Path(__file__).with_name("universe.json")


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """A symbol: its row in exchangeInfo and the shape of its market. Equal only to itself."""

    symbol: str
    pair: str
    base: str
    quote: str
    margin: str
    contract_type: str
    status: str
    underlying_type: str
    price_precision: int
    quantity_precision: int
    onboard_ms: int
    delivery_ms: int
    funding_hours: int
    shape: MarketShape
    coin_margined: bool = False

    @property
    def stream_name(self) -> str:
        return self.symbol.lower()

    @property
    def tradfi(self) -> bool:
        return self.contract_type == "TRADIFI_PERPETUAL"

    @property
    def trades(self) -> bool:
        return self.status == "TRADING"

    @property
    def perpetual(self) -> bool:
        return self.delivery_ms == PERPETUAL_DELIVERY_MS

    def last_trading_ms(self, now_ms: int) -> int:
        """Return the newest time at which it can have traded."""
        return min(now_ms, self.delivery_ms - 1)


class Universe:
    """All instruments. `pairs` of them are eligible: PERPETUAL, TRADING, quote and margin USDT, underlyingType COIN.

    The first 164 have real names, the rest invented ones; each of `bases` is listed in addition and eligible, whatever
    its name. Listing dates depend on `start_ms`, the market itself does not.
    """

    def __init__(self, *, pairs: int, seed: int, start_ms: int, bases: Sequence[str] = ()) -> None:
        data = json.loads(_DATA.read_text(encoding="utf-8"))
        self._prices = {base: Decimal(price) for base, price in data["prices"].items()}
        self._seed = seed
        today = start_ms // DAY_MS * DAY_MS
        self._usual_onboard_ms = today - HISTORY_DAYS * DAY_MS
        eligible = list(self._eligible(data["fleet"] + data["others"], pairs))
        if pairs > 20:  # two newly listed ones among the quiet pairs
            eligible[-1] = _listed(eligible[-1], start_ms // HOUR_MS * HOUR_MS - 5 * HOUR_MS)
            eligible[-2] = _listed(eligible[-2], today - 3 * DAY_MS)
        eligible += [self._make(base, rank=20) for base in bases]
        others = [*self._tradfi(data["tradfi"]), *self._quarterlies(start_ms), *self._oddities(start_ms)]
        self.eligible = tuple(eligible)
        self.instruments = (*eligible, *others)
        self.coin_margined = tuple(self._coin_margined(data["coin_margined"]))
        self._by_symbol = {instrument.symbol: instrument for instrument in self.instruments}

    def get(self, symbol: str) -> Instrument | None:
        """Return the USDT-margined instrument of that name, in any case."""
        return self._by_symbol.get(symbol) or self._by_symbol.get(symbol.upper())

    def begin(self, symbol: str, at_ms: int) -> Instrument:
        """List an instrument; returns the one it replaces. Raises KeyError."""
        before = self._by_symbol[symbol]
        self._change(before, replace(_listed(before, at_ms), status="TRADING"))
        return before

    def end(self, symbol: str, status: str, at_ms: int) -> Instrument:
        """End an instrument's trading; returns the one it replaces. Raises KeyError."""
        before = self._by_symbol[symbol]
        self._change(before, replace(before, status=status, delivery_ms=at_ms))
        return before

    def _change(self, before: Instrument, after: Instrument) -> None:
        self.instruments = tuple(after if item is before else item for item in self.instruments)
        self._by_symbol[after.symbol] = after
        kept = tuple(item for item in self.eligible if item is not before)
        self.eligible = (*kept, after) if after.trades else kept

    def _eligible(self, names: list[str], count: int) -> Iterator[Instrument]:
        invented = _invented_names(set(names))
        for rank in range(count):
            base = names[rank] if rank < len(names) else next(invented)
            yield self._make(base, rank=rank)

    def _tradfi(self, rows: list[list[str]]) -> Iterator[Instrument]:
        for base, underlying, price in rows:
            self._prices[base] = Decimal(price)
            made = self._make(base, rank=60)
            precisions = {"XAU": (2, 3), "QCOM": (5, 2)}.get(base)
            if precisions:
                made = self._make(base, rank=60, price_precision=precisions[0], quantity_precision=precisions[1])
            yield replace(made, contract_type="TRADIFI_PERPETUAL", underlying_type=underlying, funding_hours=4)

    def _quarterlies(self, start_ms: int) -> Iterator[Instrument]:
        for kind, delivery in zip(("CURRENT_QUARTER", "NEXT_QUARTER"), _quarter_ends(start_ms), strict=False):
            delivery_ms = int(datetime(delivery.year, delivery.month, delivery.day, 8, tzinfo=UTC).timestamp()) * 1000
            for base in ("BTC", "ETH"):
                symbol = f"{base}USDT_{delivery:%y%m%d}"
                made = self._make(
                    base, rank=60, symbol=symbol, price_precision=1 if base == "BTC" else 2, quantity_precision=3
                )
                yield replace(made, contract_type=kind, delivery_ms=delivery_ms)

    def _oddities(self, start_ms: int) -> Iterator[Instrument]:
        for base, price in (("BTCDOM", "4700"), ("DEFI", "610")):
            self._prices[base] = Decimal(price)
            yield replace(self._make(base, rank=60), underlying_type="INDEX")
        for base in ("BTC", "ETH", "SOL"):
            yield replace(
                self._make(base, rank=60, symbol=f"{base}USDC"), pair=f"{base}USDC", quote="USDC", margin="USDC"
            )
        yield replace(self._make("OPENAI", rank=100), underlying_type="PREMARKET")
        omg = replace(self._make("OMG", rank=100, price_precision=4, quantity_precision=1), status="SETTLING")
        yield replace(_listed(omg, 1_593_680_400_000), delivery_ms=1_738_314_000_000)
        for days, base in ((400, "WAVES"), (20, "BAKE")):
            gone = replace(self._make(base, rank=100), status="SETTLING")
            delivery_ms = start_ms // HOUR_MS * HOUR_MS - days * DAY_MS
            yield replace(_listed(gone, delivery_ms - 300 * DAY_MS), delivery_ms=delivery_ms)
        soon = start_ms // HOUR_MS * HOUR_MS + 30 * DAY_MS
        yield replace(_listed(self._make("NEWBORN", rank=100), soon), status="PENDING_TRADING")

    def _coin_margined(self, bases: list[str]) -> Iterator[Instrument]:
        for base in bases:
            made = self._make(base, rank=60, symbol=f"{base}USD_PERP", quantity_precision=0)
            yield replace(made, pair=f"{base}USD", quote="USD", margin=base, coin_margined=True)

    def _make(
        self,
        base: str,
        *,
        rank: int,
        symbol: str | None = None,
        price_precision: int | None = None,
        quantity_precision: int | None = None,
    ) -> Instrument:
        """Return a perpetual COIN instrument; `rank` 0 is the busiest."""
        symbol = symbol or f"{base}USDT"
        key = key_of(self._seed, symbol, "shape")
        price = self._prices.get(base) or _invented_price(key_of(self._seed, base, "price"))
        digits, tick, quantity_digits = _precisions(base, price, key)
        if price_precision is not None:
            digits, tick = price_precision, 1
        if quantity_precision is not None:
            quantity_digits = quantity_precision
        slot_ms, activity, typical_usdt, max_fills = _activity(rank, key)
        max_quantity = max(int(typical_usdt / price * 10**quantity_digits), 40)
        shape = MarketShape(
            symbol=symbol,
            base_price=int(price * 10**digits),
            tick=tick,
            step=1,
            slot_ms=slot_ms,
            activity=activity,
            volatility=0.6 + share_at(key, 5) if rank > 1 else 0.6,
            max_quantity=max_quantity,
            max_fills=max_fills,
            listed_ms=self._usual_onboard_ms,
        )
        return Instrument(
            symbol=symbol,
            pair=f"{base}USDT",
            base=base,
            quote="USDT",
            margin="USDT",
            contract_type="PERPETUAL",
            status="TRADING",
            underlying_type="COIN",
            price_precision=digits,
            quantity_precision=quantity_digits,
            onboard_ms=self._usual_onboard_ms,
            delivery_ms=PERPETUAL_DELIVERY_MS,
            funding_hours=_funding_hours(base, rank, key),
            shape=shape,
        )


def _listed(instrument: Instrument, onboard_ms: int) -> Instrument:
    return replace(instrument, onboard_ms=onboard_ms, shape=replace(instrument.shape, listed_ms=onboard_ms))


def _activity(rank: int, key: int) -> tuple[int, int, int, int]:
    """Return slot length, slots out of 65,536 with a trade, largest trade in USDT, most fills in a trade."""
    place = rank if rank < 164 else 16 + rank % 148
    if place < 16:
        return 1000, 62_000, 400_000, 60
    if place < 66:
        return 2000, 50_000, 60_000, 20
    if place < 144:
        return 5000, 26_000, 12_000, 8
    return 10_000, 2_000 + hash_at(key, 1) % 4_500, 3_000, 3  # one to six candles out of ten are empty


def _precisions(base: str, price: Decimal, key: int) -> tuple[int, int, int]:
    """Return pricePrecision, tick in units of its last digit (may be coarser), quantityPrecision."""
    known = {"BTC": (2, 10, 3), "ETH": (2, 1, 3), "币安人生": (7, 1000, 0), "BNB": (3, 10, 2), "SOL": (4, 100, 2)}
    if base in known:
        return known[base]
    wide = hash_at(key, 2) % 3 == 0  # for a third the last digits are unused
    for at_least, digits, quantity_digits in (
        ("1000", 2, 3),
        ("100", 2, 2),
        ("10", 3, 1),
        ("1", 4, 1),
        ("0.1", 5, 0),
        ("0.01", 6, 0),
    ):
        if price >= Decimal(at_least):
            return (digits + 1, 10, quantity_digits) if wide else (digits, 1, quantity_digits)
    return 7, 1, 0


def _invented_price(key: int) -> Decimal:
    mantissa = 100 + hash_at(key, 0) % 900
    exponent = -5 + hash_at(key, 1) % 4
    return Decimal(mantissa).scaleb(exponent)


def _funding_hours(base: str, rank: int, key: int) -> int:
    if base == "币安人生":
        return 4
    if rank < 10:
        return 8
    return (8, 8, 8, 8, 8, 8, 4, 4, 4, 1)[hash_at(key, 3) % 10]


def _quarter_ends(start_ms: int) -> list[date]:
    """Return the last Fridays of the next two of March, June, September, December, in order."""
    today = datetime.fromtimestamp(start_ms // 1000, UTC).date()
    fridays = []
    for year in (today.year, today.year + 1):
        for month in (3, 6, 9, 12):
            last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
            fridays.append(last - timedelta(days=(last.weekday() - 4) % 7))
    return [friday for friday in fridays if friday > today][:2]


def _invented_names(taken: set[str]) -> Iterator[str]:
    index = 0
    while True:
        bits = hash_at(key_of("names"), index)
        syllables = (
            "BA",
            "CO",
            "DRI",
            "FEL",
            "GO",
            "KA",
            "LUM",
            "MI",
            "NO",
            "PRA",
            "RU",
            "SOL",
            "TEK",
            "VI",
            "XO",
            "ZE",
        )
        name = "".join(syllables[(bits >> shift) & 15] for shift in (0, 4, 8))
        index += 1
        if name not in taken:
            taken.add(name)
            yield name
