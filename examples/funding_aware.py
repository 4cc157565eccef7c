"""A FreqAI strategy that learns from settled funding rates and minds the running one. An example, not advice.

    freqtrade trade --config examples/config.json --config examples/freqai.json --strategy-path examples

Candles come from the gateway, as to every bot. Funding rates are read from the store by the library `marketdata`
(docs/reader.md): the whole history in one query a pair, without a request to the exchange. MARKETDATA_URL and
MARKETDATA_TOKEN_FILE name the store and a reader's token.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import talib.abstract as ta
from freqtrade.strategy import IStrategy

from marketdata.errors import MarketDataError
from marketdata.reader import MarketData

log = logging.getLogger(__name__)

HISTORY = timedelta(days=3)
"""Before the first candle: room for a rate settled every 8 hours, and for the mean of three."""

RATE_AGE_SECONDS = 180
DEAREST_RATE = 0.0005
"""A side that pays more than this at the next settlement is not entered."""


class FundingAware(IStrategy):
    """Predicts the return over the next hour; enters where it is worth more than fees and funding."""

    INTERFACE_VERSION = 3
    timeframe = "3m"
    can_short = True
    minimal_roi = {"0": 0.05, "240": 0.0}  # noqa: RUF012 - freqtrade's interface
    stoploss = -0.05
    startup_candle_count = 40
    threshold = 0.002

    def bot_start(self, **kwargs: Any) -> None:
        """Connect to the store."""
        self._market = MarketData.from_env()

    def feature_engineering_expand_all(
        self, dataframe: pd.DataFrame, period: int, metadata: dict[str, Any], **kwargs: Any
    ) -> pd.DataFrame:
        """For each period, timeframe and correlated pair."""
        dataframe["%-rsi-period"] = ta.RSI(dataframe, timeperiod=period)
        dataframe["%-range-period"] = ta.ATR(dataframe, timeperiod=period) / dataframe["close"]
        return dataframe

    def feature_engineering_expand_basic(
        self, dataframe: pd.DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> pd.DataFrame:
        """For each timeframe and correlated pair."""
        dataframe["%-return"] = dataframe["close"].pct_change()
        return dataframe

    def feature_engineering_standard(
        self, dataframe: pd.DataFrame, metadata: dict[str, Any], **kwargs: Any
    ) -> pd.DataFrame:
        """Once a pair: what was settled before each candle opened."""
        first = dataframe["date"].iloc[0] - HISTORY
        settled = self._market.get_funding_history(metadata["pair"], first.to_pydatetime())
        return with_funding(dataframe, settled)

    def set_freqai_targets(self, dataframe: pd.DataFrame, metadata: dict[str, Any], **kwargs: Any) -> pd.DataFrame:
        """The return from this close to the mean of the closes that follow."""
        ahead = self.freqai_info["feature_parameters"]["label_period_candles"]
        mean = dataframe["close"].shift(-ahead).rolling(ahead).mean()
        dataframe["&-return"] = mean / dataframe["close"] - 1
        return dataframe

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Features, training and prediction are FreqAI's."""
        frame: pd.DataFrame = self.freqai.start(dataframe, metadata, self)
        return frame

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Where the prediction is trusted and large enough."""
        trusted = dataframe["do_predict"] == 1
        dataframe.loc[trusted & (dataframe["&-return"] > self.threshold), "enter_long"] = 1
        dataframe.loc[trusted & (dataframe["&-return"] < -self.threshold), "enter_short"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Where it has turned."""
        dataframe.loc[dataframe["&-return"] < 0, "exit_long"] = 1
        dataframe.loc[dataframe["&-return"] > 0, "exit_short"] = 1
        return dataframe

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        """Enter only with a fresh estimate of the running rate, and only where it does not cost too much."""
        if self.config["runmode"].value not in ("live", "dry_run"):
            return True  # the store keeps estimates of 30 days; a backtest is charged what was settled
        try:
            funding = self._market.get_funding_rate(pair)
        except MarketDataError as error:
            log.warning("%s not entered: %s", pair, error)
            return False
        paid = funding.rate if side == "long" else -funding.rate
        return funding.age_seconds < RATE_AGE_SECONDS and paid < DEAREST_RATE


def with_funding(dataframe: pd.DataFrame, settled: pd.DataFrame) -> pd.DataFrame:
    """Add what was settled last before each candle opened, the mean of the last three, and the hours since.

    A settlement's time is some milliseconds off the hour: the candle that opens on that hour does not know it yet.
    Dates that freqtrade read from files are in milliseconds, others in pandas' own resolution: merge_asof wants one.
    """
    rates = pd.DataFrame(
        {
            "settled": settled["date"].astype(dataframe["date"].dtype),
            "%-funding": settled["rate"],
            "%-funding-mean": settled["rate"].rolling(3, min_periods=1).mean(),
        }
    )
    joined = pd.merge_asof(dataframe, rates, left_on="date", right_on="settled", direction="backward")
    joined["%-funding-hours"] = (joined["date"] - joined["settled"]).dt.total_seconds() / 3600
    return joined.drop(columns="settled")
