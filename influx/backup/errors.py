"""The one exception of this package."""


class BackupError(Exception):
    """A backup, restore or comparison did not succeed; one line says what and why."""
