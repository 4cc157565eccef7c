// 4h candles from the 3m candles. A window is written whole or not at all: docs/adr/0003-rollup-right-or-absent.md
import "date"
import "influxdata/influxdb"

option task = {name: "ohlcv_4h", every: 15m, offset: 40s, concurrency: 1}

window = 4h
overlap = 2d
candlesPerWindow = 80

// Both ends on the grid: a range that starts inside a window would write a clipped candle.
stop = date.truncate(t: now(), unit: window)
start = date.sub(d: overlap, from: stop)

// A function and not a shared stream: so each field is aggregated inside the storage engine.
rollup = (field, fn, as) =>
    from(bucket: "market_data")
        |> range(start: start, stop: stop)
        |> filter(fn: (r) => r._measurement == "ohlcv_3m" and r._field == field)
        |> aggregateWindow(every: window, fn: fn, createEmpty: false, timeSrc: "_start")
        |> set(key: "_field", value: as)

union(
    tables: [
        rollup(field: "open", fn: first, as: "open"),
        rollup(field: "high", fn: max, as: "high"),
        rollup(field: "low", fn: min, as: "low"),
        rollup(field: "close", fn: last, as: "close"),
        rollup(field: "volume", fn: sum, as: "volume"),
        rollup(field: "quote_volume", fn: sum, as: "quote_volume"),
        rollup(field: "taker_buy_volume", fn: sum, as: "taker_buy_volume"),
        rollup(field: "taker_buy_quote_volume", fn: sum, as: "taker_buy_quote_volume"),
        rollup(field: "trades", fn: sum, as: "trades"),
        rollup(field: "trades", fn: count, as: "candles"),
    ],
)
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
    |> filter(fn: (r) => r.candles == candlesPerWindow)
    // A window without a trade has no open, high and low: docs/adr/0004-empty-candles-without-open-high-low.md
    |> map(
        fn: (r) => ({r with
            open: if exists r.open then r.open else r.close,
            high: if exists r.high then r.high else r.close,
            low: if exists r.low then r.low else r.close,
        }),
    )
    |> set(key: "_measurement", value: "ohlcv_4h")
    |> influxdb.wideTo(bucket: "market_data_rollup")
    // Whoever runs this script reads how many windows were written, not the windows.
    |> group()
    |> count(column: "candles")
