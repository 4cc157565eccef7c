"""From the stores and Grafana's hosts to the authorities that whoever asks them must trust."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

STORE_AUTHORITY = "/etc/influxdb/tls/ca.pem"
GRAFANA_AUTHORITY = "/etc/grafana/tls/ca.pem"


def authorities(stores: Iterable[Mapping[str, Any]], grafana_hosts: Iterable[str], scheme: str) -> list[dict[str, str]]:
    """Each authority as {name, server, source}: the host that has it, and where; of servers without TLS none.

    A store without token_server is not ours: its certificate is of an authority that everybody knows.
    """
    of_stores = [
        {"name": f"store-{store['name']}", "server": store["token_server"], "source": STORE_AUTHORITY}
        for store in stores
        if store["url"].startswith("https://") and "token_server" in store
    ]
    of_grafana = [{"name": f"grafana-{host}", "server": host, "source": GRAFANA_AUTHORITY} for host in grafana_hosts]
    return of_stores + (of_grafana if scheme == "https" else [])


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        return {"authorities": authorities}
