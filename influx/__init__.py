"""The store's schema, the rollup tasks, and the command that makes an InfluxDB equal to both.

`provision()` is the one call for the command, the demo and the tests; `influx.scripts` gives the rollup scripts.
"""

from influx.provisioning import Provisioned, provision

__all__ = ["Provisioned", "provision"]
