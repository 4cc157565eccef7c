"""The dashboards as Python. `python -m grafana` writes dashboards/<uid>.json, which Grafana loads."""
