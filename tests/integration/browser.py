"""Finds what the Grafana tests need beside Grafana: a Chromium."""

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def chromium() -> str | None:
    """A browser on PATH that can be run without a screen."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)
