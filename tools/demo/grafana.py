"""How the demo runs Grafana: with everything in grafana/ provisioned, and without any outgoing traffic. Pure."""

from collections.abc import Mapping
from pathlib import Path

INSTALLED_HOME = Path("/usr/share/grafana")
"""Where an installed package of Grafana Labs has the files that its archive has beside bin/."""


def home_of(grafana: Path) -> Path:
    """Return the folder with Grafana's conf/ and public/, from its archive or an installed package."""
    archive = grafana.resolve().parent.parent
    return archive if (archive / "conf" / "defaults.ini").is_file() else INSTALLED_HOME


def ini(*, address: str, data: Path, source: Path, password_file: Path) -> str:
    """Return Grafana's configuration for the folder `source` (grafana/). It reads the password from its file itself."""
    host, _, port = address.rpartition(":")
    paths = {"data": data, "logs": data / "log", "plugins": data / "plugins", "provisioning": source / "provisioning"}
    sections: dict[str, dict[str, object]] = {
        "server": {"http_addr": host, "http_port": port},
        "paths": {**paths},
        "security": {"admin_user": "admin", "admin_password": f"$__file{{{password_file}}}"},
        "users": {"allow_sign_up": "false"},
        "dashboards": {"default_home_dashboard_path": source / "dashboards" / "marketdata-overview.json"},
        "log": {"mode": "console", "level": "warn"},
        # It also runs on machines without a network, and sends no usage reports.
        "analytics": {
            "reporting_enabled": "false",
            "check_for_updates": "false",
            "check_for_plugin_updates": "false",
        },
        "plugins": {"preinstall_disabled": "true", "public_key_retrieval_disabled": "true"},
        "news": {"news_feed_enabled": "false"},
        "snapshots": {"external_enabled": "false"},
        # Prometheus does the alerting.
        "unified_alerting": {"enabled": "false"},
    }
    lines = []
    for section, values in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def variables(
    *, prometheus_url: str, scrape_interval: str, influx_url: str, org: str, token_file: Path, source: Path
) -> dict[str, str]:
    """Return the environment for grafana/provisioning/. It has the name of the token's file, never a token."""
    return {
        "MARKETDATA_PROMETHEUS_URL": prometheus_url,
        "MARKETDATA_SCRAPE_INTERVAL": scrape_interval,
        "MARKETDATA_INFLUXDB_URL": influx_url,
        "MARKETDATA_INFLUXDB_ORG": org,
        "MARKETDATA_INFLUXDB_TOKEN": f"$__file{{{token_file}}}",
        "MARKETDATA_DASHBOARDS": str(source / "dashboards"),
    }


def command(grafana: Path, config: Path, environment: Mapping[str, str]) -> list[str]:
    """Return the command for Grafana in the foreground, with these variables in its environment."""
    given = [f"{name}={value}" for name, value in environment.items()]
    return ["env", *given, str(grafana), "server", "--homepath", str(home_of(grafana)), "--config", str(config)]
