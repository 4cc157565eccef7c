"""The HTTP session shared by all stores."""

import ssl

import aiohttp

from collector.config import Config
from marketdata.errors import InvalidRequest
from marketdata.stores import trust
from service.config_file import ConfigError


def open_session(config: Config) -> aiohttp.ClientSession:
    """Return a session that trusts each store's `ca_file` and the system's authorities. Raises ConfigError."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=authorities(config)), trust_env=False)


def authorities(config: Config) -> ssl.SSLContext:
    """Read each store's `ca_file`. Raises ConfigError."""
    try:
        return trust(store.ca_file for store in config.store)
    except InvalidRequest as error:
        raise ConfigError(f"store.{error}") from error
