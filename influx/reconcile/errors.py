"""What can go wrong: every message is one line that tells the operator what to do."""

from __future__ import annotations


class ReconcileError(Exception):
    """The server could not be made, or found, equal to the schema."""


class InvalidInput(ReconcileError):
    """The schema, a task's script or an argument is wrong: file, key, value, what is allowed."""


class Refused(ReconcileError):
    """The change would destroy data and was not allowed by name."""


class Unreachable(ReconcileError):
    """No connection, or no answer in time."""


class TaskFailed(ReconcileError):
    """A deployed task could not run; the message holds the cause from the run's log."""


class ApiError(ReconcileError):
    """InfluxDB answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
