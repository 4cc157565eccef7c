#!/usr/bin/python
"""Ansible module around the reconcile engine."""

from __future__ import annotations

DOCUMENTATION = """
module: influx_reconcile
short_description: Make an InfluxDB 2 hold the organization, buckets, tokens and tasks of a schema
description:
  - Sets up a server that nobody has set up yet; changes only what differs; reports what it does not know.
  - Runs each task it deploys once and fails with the cause from the run's log (the server takes any script).
  - Tokens go to files readable by their owner alone; none is ever an argument or a part of the result.
options:
  url:
    description: Address of the server, C(http://host:port) or C(https://host:port).
    type: str
    required: true
  ca_file:
    description: File of the authority (PEM) that an https server's certificate is of, trusted besides the system's.
    type: path
  schema:
    description: The content of influx/schema.yml.
    type: dict
    required: true
  tasks:
    description: The Flux scripts by task name.
    type: dict
    required: true
  consumers:
    description: Names of consumers by kind of token, in the place of the schema's, for the kinds it names.
    type: dict
    default: {}
  generations:
    description: Generation by token name (C(<kind>-<consumer>)). A higher one replaces the token; default is 1.
    type: dict
    default: {}
  secrets_dir:
    description: Folder of the token files C(<kind>-<consumer>.token).
    type: path
    required: true
  operator_token_file:
    description:
      - File of the operator's token, written when the server is set up.
      - Default is C(operator.token) in O(secrets_dir).
    type: path
  allow_destructive:
    description: Buckets that may be deleted or may lose data by a shorter retention.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: >-
      Where nothing answers at O(url) and there is no operator's token, the server is yet to be set up, and all of it
      is shown; with the token there, the store cannot be compared, and RV(reports) says so.
  diff_mode:
    support: full
"""

EXAMPLES = """
- name: Provision the store
  influx_reconcile:
    url: http://127.0.0.1:8086
    schema: "{{ lookup('file', 'influx/schema.yml') | from_yaml }}"
    tasks: {ohlcv_15m: "{{ lookup('file', 'influx/tasks/ohlcv_15m.flux', rstrip=false) }}"}
    secrets_dir: /etc/influxdb/tokens
"""

RETURN = """
changes:
  description: What was changed (in check mode, would be), a line each.
  type: list
  elements: str
  returned: success
reports:
  description: What the server holds beside the schema.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path  # noqa: E402  Ansible wants the documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.influx_reconcile import (  # noqa: E402
    Desired,
    Observed,
    ReconcileError,
    Result,
    Unreachable,
    parse,
    plan,
    reconcile,
    with_consumers,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "ca_file": {"type": "path"},
            "schema": {"type": "dict", "required": True},
            "tasks": {"type": "dict", "required": True},
            "consumers": {"type": "dict", "default": {}},
            "generations": {"type": "dict", "default": {}, "no_log": False},
            "secrets_dir": {"type": "path", "required": True, "no_log": False},
            "operator_token_file": {"type": "path", "no_log": False},
            "allow_destructive": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        schema = with_consumers(params["schema"], params["consumers"], params["generations"])
        desired = parse(schema, params["tasks"], source="schema", allow_destructive=params["allow_destructive"])
        result = _reconcile(module, desired)
    except ReconcileError as error:
        module.fail_json(msg=str(error))
    diff = {"prepared": "".join(f"{line}\n" for line in result.lines)}
    module.exit_json(changed=result.changed, changes=list(result.lines), reports=list(result.reports), diff=diff)


def _reconcile(module: AnsibleModule, desired: Desired) -> Result:
    """In check mode the server may be yet to be installed, or stopped: that is no failure then."""
    secrets_dir = Path(module.params["secrets_dir"])
    operator_token_file = Path(module.params["operator_token_file"] or secrets_dir / "operator.token")
    ca_file = Path(module.params["ca_file"]) if module.params["ca_file"] else None
    if module.check_mode and ca_file and not ca_file.exists():
        ca_file = None  # it is made by the run that this is the rehearsal of
    try:
        return reconcile(
            module.params["url"],
            desired,
            secrets_dir,
            operator_token_file=operator_token_file,
            ca_file=ca_file,
            check=module.check_mode,
        )
    except Unreachable as error:
        if not module.check_mode:
            raise
        if operator_token_file.exists():
            return Result((), (f"not compared: {error}",))
        return Result(tuple(plan(desired, Observed(fresh=True)).lines()), ())


if __name__ == "__main__":
    main()
