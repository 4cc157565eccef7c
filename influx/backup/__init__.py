"""Backups of an InfluxDB 2: made, verified, restored, compared. Points alone: no token, user or task is in them.

Standard library only: the role backup copies this folder to the InfluxDB host. docs/adr/0012-backups-hold-points.md.
"""
