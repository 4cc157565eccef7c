"""What in a bot's own configuration or environment would send its requests for the gateway to a proxy."""

from typing import Any

import pytest
from bot_settings import bypasses, host_of, parsed, proxies_in_environment, proxies_in_file

HOST = "127.0.0.1"
PROXY = "http://user:password@10.0.0.9:3128"

NAMES = [
    *("httpsProxy", "https_proxy", "httpProxy", "http_proxy", "socksProxy", "socks_proxy", "wsProxy", "ws_proxy"),
    *("wssProxy", "wss_proxy", "wsSocksProxy", "ws_socks_proxy", "proxy", "proxyUrl", "proxy_url", "aiohttp_proxy"),
]


def exchange(block: str, **settings: Any) -> dict[str, Any]:
    return {"exchange": {"name": "binance", block: settings}}


@pytest.mark.parametrize("block", ["ccxt_config", "ccxt_sync_config", "ccxt_async_config"])
@pytest.mark.parametrize("name", NAMES)
def test_every_proxy_of_ccxt_is_refused_by_name_and_without_its_value(block: str, name: str) -> None:
    config = exchange(block, **{name: PROXY}, enableRateLimit=True)
    assert proxies_in_file(config, bypassed=True) == [f"exchange.{block}.{name}"]


def test_a_proxy_is_found_wherever_it_lies_in_ccxts_settings() -> None:
    config = exchange("ccxt_config", proxies={"https": PROXY}, options={"wsProxy": PROXY})
    found = ["exchange.ccxt_config.proxies", "exchange.ccxt_config.options.wsProxy"]
    assert proxies_in_file(config, bypassed=True) == found


@pytest.mark.parametrize("setting", ["aiohttp_trust_env", "requests_trust_env", "trust_env"])
def test_trust_in_the_environment_is_refused_unless_no_proxy_names_the_gateway(setting: str) -> None:
    config = exchange("ccxt_async_config", **{setting: True})
    assert proxies_in_file(config, bypassed=False) == [f"exchange.ccxt_async_config.{setting}"]
    assert proxies_in_file(config, bypassed=True) == []
    inner = exchange("ccxt_config", session={"trust_env": True})
    assert proxies_in_file(inner, bypassed=False) == ["exchange.ccxt_config.session.trust_env"]


@pytest.mark.parametrize("value", [None, "", False, {}])
def test_a_proxy_that_is_switched_off_is_none(value: Any) -> None:
    assert proxies_in_file(exchange("ccxt_config", httpsProxy=value, aiohttp_trust_env=value), bypassed=False) == []


@pytest.mark.parametrize(
    "config", [{}, {"exchange": None}, {"exchange": {"ccxt_config": []}}, {"webhook": {"proxy": 1}}]
)
def test_what_is_no_setting_of_ccxt_is_left_alone(config: dict[str, Any]) -> None:
    assert proxies_in_file(config, bypassed=False) == []


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_refused_unless_no_proxy_names_the_gateway(name: str) -> None:
    assert proxies_in_environment({name: PROXY, "PATH": "/bin"}, HOST) == [name]
    assert proxies_in_environment({name: PROXY, "NO_PROXY": "example.org"}, HOST) == [name]
    assert proxies_in_environment({name: PROXY, "NO_PROXY": "example.org, 127.0.0.1"}, HOST) == []
    assert proxies_in_environment({name: PROXY, "no_proxy": "*"}, HOST) == []
    assert proxies_in_environment({name: ""}, HOST) == []


@pytest.mark.parametrize(
    "name",
    [
        "FREQTRADE__EXCHANGE__CCXT_CONFIG__httpsProxy",
        "FREQTRADE__EXCHANGE__CCXT_ASYNC_CONFIG__aiohttp_proxy",
        "FREQTRADE__EXCHANGE__CCXT_CONFIG__URLS__API__fapiPublic",
        "FREQTRADE__EXCHANGE__PAIR_WHITELIST",
        "FREQTRADE__EXTERNAL_MESSAGE_CONSUMER__ENABLED",
    ],
)
def test_variables_that_overrule_the_gateways_block_are_refused(name: str) -> None:
    environment = {name: "x", "NO_PROXY": "*", "FREQTRADE__TELEGRAM__CHAT_ID": "1", "FREQTRADE__EXCHANGE__KEY": "k"}
    assert proxies_in_environment(environment, HOST) == [name]


def test_no_proxy_is_read_as_the_bots_libraries_read_it() -> None:
    assert bypasses({"NO_PROXY": "localhost,127.0.0.1"}, HOST)
    assert bypasses({"no_proxy": ".example.org"}, host_of("http://gateway.example.org:8090"))
    assert not bypasses({"NO_PROXY": ""}, HOST)
    assert not bypasses({}, HOST)


def test_a_configuration_is_read_with_comments_and_commas_too_many_as_freqtrade_does() -> None:
    text = """{ // a comment with "quotes"
      /* one of
         two lines, */
      "exchange": {"key": "a // b", "secret": "c, }", "ccxt_config": {"httpsProxy": "http://p:1", }, },
    }"""
    content = parsed(text)
    assert content["exchange"] == {"key": "a // b", "secret": "c, }", "ccxt_config": {"httpsProxy": "http://p:1"}}
    for broken in ("[]", "{", ""):
        with pytest.raises(ValueError, match=r"Expecting|no object"):
            parsed(broken)
