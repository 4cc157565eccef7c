"""Reconcile an InfluxDB 2 with a schema: organization, buckets, tokens, tasks.

`reconcile()` is desired state -> plan -> apply. Standard library only, Python 3.11 or later, and its own modules by
relative imports alone: by a link in ansible/plugins/module_utils the same folder is
`ansible.module_utils.influx_reconcile`, which Ansible ships to the hosts.
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
