"""The format of REST responses, as sent by Binance USDT-M in October 2026. Pure.

Recorded: tests/data/binance_usdm_2026-10/rest.
"""

from typing import Any

from simulator.candles import Candle
from simulator.frames import Book, DayStatistics, Trade, decimal
from simulator.marks import Marks
from simulator.universe import Instrument

_ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
_SUB_TYPES = {"COIN": ["Crypto"], "INDEX": ["Index"], "PREMARKET": ["Pre-Market"]}


def exchange_info(instruments: tuple[Instrument, ...], now_ms: int) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
        ],
        "exchangeFilters": [],
        "assets": [
            {"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"},
            {"asset": "BTC", "marginAvailable": True, "autoAssetExchange": "-0.10000000"},
        ],
        "symbols": [symbol_info(instrument) for instrument in instruments],
    }


def symbol_info(instrument: Instrument) -> dict[str, Any]:
    p = instrument.price_precision
    tick = decimal(instrument.shape.tick, p)
    step = decimal(instrument.shape.step, instrument.quantity_precision)
    most = instrument.shape.base_price * 50 // 10**p + 1
    return {
        "symbol": instrument.symbol,
        "pair": instrument.pair,
        "contractType": instrument.contract_type,
        "deliveryDate": instrument.delivery_ms,
        "onboardDate": instrument.onboard_ms,
        "status": instrument.status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.margin,
        "pricePrecision": p,
        "quantityPrecision": instrument.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": instrument.underlying_type,
        "underlyingSubType": [] if not instrument.perpetual else _SUB_TYPES.get(instrument.underlying_type, ["TradFi"]),
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": str(most), "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "2000000", "stepSize": step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": "600000", "stepSize": step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": "1.0500",
                "multiplierDown": "0.9500",
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": _ORDER_TYPES,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY", "DCA", "PSB"],
    }


def kline(instrument: Instrument, candle: Candle) -> list[Any]:
    p, q = instrument.price_precision, instrument.quantity_precision
    return [
        candle.open_ms,
        decimal(candle.open, p),
        decimal(candle.high, p),
        decimal(candle.low, p),
        decimal(candle.close, p),
        decimal(candle.volume, q),
        candle.close_ms,
        decimal(candle.quote, p + q),
        candle.trades,
        decimal(candle.taker_volume, q),
        decimal(candle.taker_quote, p + q),
        "0",
    ]


def price_kline(row: tuple[int, int, int, int, int, int, int]) -> list[Any]:
    """A row of markPriceKlines or indexPriceKlines: volumes are 0, the count is the number of seconds observed."""
    open_ms, close_ms, *prices, seconds = row
    return [open_ms, *(decimal(price, 8) for price in prices), "0", close_ms, "0", seconds, "0", "0", "0"]


def premium_index(
    instrument: Instrument, marks: Marks, *, rate: int, next_funding_ms: int, time_ms: int
) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "markPrice": decimal(marks.mark, 8),
        "indexPrice": decimal(marks.index, 8),
        "estimatedSettlePrice": decimal(marks.settle, 8),
        "lastFundingRate": decimal(rate, 8),
        "interestRate": "0.00000000" if instrument.tradfi else "0.00010000",
        "nextFundingTime": next_funding_ms,
        "time": time_ms,
    }


def funding_rate(instrument: Instrument, time_ms: int, rate: int, mark: int) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "fundingTime": time_ms,
        "fundingRate": decimal(rate, 8),
        "markPrice": decimal(mark, 8),
        "rateType": "Regular",
    }


def funding_info(instrument: Instrument, hours: int) -> dict[str, Any]:
    adjusted = hours != 8
    return {
        "symbol": instrument.symbol,
        "adjustedFundingRateCap": "0.02000000" if adjusted else "0.00300",
        "adjustedFundingRateFloor": "-0.02000000" if adjusted else "-0.00300",
        "fundingIntervalHours": hours,
        "disclaimer": not adjusted,
        "updateTime": instrument.onboard_ms if adjusted else None,
    }


def ticker_24hr(instrument: Instrument, day: DayStatistics) -> dict[str, Any]:
    p, q = instrument.price_precision, instrument.quantity_precision
    return {
        "symbol": instrument.symbol,
        "priceChange": decimal(day.close - day.open, p),
        "priceChangePercent": decimal(day.change_millipercent, 3),
        "weightedAvgPrice": decimal(day.average, p),
        "lastPrice": decimal(day.close, p),
        "lastQty": decimal(day.last_quantity, q),
        "openPrice": decimal(day.open, p),
        "highPrice": decimal(day.high, p),
        "lowPrice": decimal(day.low, p),
        "volume": decimal(day.volume, q),
        "quoteVolume": decimal(day.quote // 10**q, p),
        "openTime": day.open_ms,
        "closeTime": day.close_ms,
        "firstId": day.first_id,
        "lastId": day.last_id,
        "count": day.trades,
    }


def aggregate_trade(instrument: Instrument, trade: Trade) -> dict[str, Any]:
    quantity = decimal(trade.quantity, instrument.quantity_precision)
    return {
        "a": trade.id,
        "p": decimal(trade.price, instrument.price_precision),
        "q": quantity,
        "nq": quantity,
        "f": trade.first_id,
        "l": trade.last_id,
        "T": trade.time_ms,
        "m": not trade.buyer_is_taker,
    }


def depth(instrument: Instrument, book: Book, now_ms: int) -> dict[str, Any]:
    p, q = instrument.price_precision, instrument.quantity_precision
    return {
        "lastUpdateId": book.update_id,
        "E": now_ms,
        "T": now_ms,
        "bids": [[decimal(price, p), decimal(quantity, q)] for price, quantity in book.bids],
        "asks": [[decimal(price, p), decimal(quantity, q)] for price, quantity in book.asks],
    }


def ticker_price(instrument: Instrument, trade: Trade) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "price": decimal(trade.price, instrument.price_precision),
        "time": trade.time_ms,
    }


def ticker_book(instrument: Instrument, book: Book, now_ms: int) -> dict[str, Any]:
    p, q = instrument.price_precision, instrument.quantity_precision
    (bid, bid_quantity), (ask, ask_quantity) = book.bids[0], book.asks[0]
    return {
        "symbol": instrument.symbol,
        "bidPrice": decimal(bid, p),
        "bidQty": decimal(bid_quantity, q),
        "askPrice": decimal(ask, p),
        "askQty": decimal(ask_quantity, q),
        "time": now_ms,
        "lastUpdateId": book.update_id,
    }


def open_interest(instrument: Instrument, units: int, now_ms: int) -> dict[str, Any]:
    return {
        "symbol": instrument.symbol,
        "openInterest": decimal(units, instrument.quantity_precision),
        "time": now_ms,
    }
