"""The store's schema, the roll-up tasks, and the command that makes an InfluxDB match both.

The command, the demo and the tests all call `provision()`; `influx.scripts` returns the roll-up scripts.
"""

from influx.provisioning import Provisioned, provision

__all__ = ["Provisioned", "provision"]
