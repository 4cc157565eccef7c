"""The exception of this package."""


class BackupError(Exception):
    """A backup, restore or comparison failed; the message says what and why in one line."""
