"""The dashboards, as Python. `python -m grafana` writes dashboards/<uid>.json; what Grafana loads is the JSON."""
