"""Creates, verifies, restores and compares backups of an InfluxDB 2. They contain only points: no tokens, users or
tasks.

Standard library only, because the role backup copies this folder to the InfluxDB host.
docs/adr/0012-backups-hold-points.md.
"""
