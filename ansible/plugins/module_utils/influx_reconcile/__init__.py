"""Reconcile an InfluxDB 2 with a schema: organization, buckets, tokens, tasks.

`reconcile()` is desired state -> plan -> apply. Standard library only and Python 3.11 or later: the same package is
`ansible.module_utils.influx_reconcile` for the Ansible module and `influx_reconcile` for the command and the tests.
"""

from .desired import Bucket, Desired, Task, Token, parse, with_consumers
from .engine import Result, reconcile
from .errors import ApiError, InvalidInput, ReconcileError, Refused, TaskFailed, Unreachable
from .observed import Observed
from .plan import Plan, plan

__all__ = [
    "ApiError",
    "Bucket",
    "Desired",
    "InvalidInput",
    "Observed",
    "Plan",
    "ReconcileError",
    "Refused",
    "Result",
    "Task",
    "TaskFailed",
    "Token",
    "Unreachable",
    "parse",
    "plan",
    "reconcile",
    "with_consumers",
]
