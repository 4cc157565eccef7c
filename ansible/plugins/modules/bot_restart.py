#!/usr/bin/python
"""Ansible module: restarts a bot, and notes what gateways have counted of it as its new process starts."""

from __future__ import annotations

DOCUMENTATION = """
module: bot_restart
short_description: Restart a bot, and note what gateways have counted of it as its new process starts
description:
  - The old process has ended by then, so what is counted from there on came from the new one.
options:
  unit:
    description: The service, with its suffix.
    type: str
    required: true
  bot:
    description: The bot's name in the paths it asks.
    type: str
    required: true
  metrics_urls:
    description: /metrics of the gateways that may answer it; none to only restart it.
    type: list
    elements: str
    default: []
  stop_seconds:
    description: How long the old process may take to end.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Restart the bot
  bot_restart:
    unit: freqtrade.service
    bot: feeder75-a
    metrics_urls: [http://127.0.0.1:8090/metrics]
"""

RETURN = """
counts:
  description: Requests of the bot that each gateway had counted; for bot_answered.
  type: list
  elements: int
  returned: success
"""

import time  # noqa: E402  Ansible wants the documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.bot_requests import NotCounted, counts  # noqa: E402
from ansible.module_utils.platform_proofs import NoAnswer, request  # noqa: E402

LOOK_SECONDS = 0.05


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "bot": {"type": "str", "required": True},
            "metrics_urls": {"type": "list", "elements": "str", "default": []},
            "stop_seconds": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, counts=[])
    unit, urls, bot = module.params["unit"], module.params["metrics_urls"], module.params["bot"]
    before = _invocation(module, unit)
    # Not waited for: a unit of Type=notify is up only when its bot has asked for all that it needs to start.
    module.run_command(["systemctl", "restart", "--no-block", unit], check_rc=True)
    deadline = time.monotonic() + module.params["stop_seconds"]
    while _invocation(module, unit) in ("", before):
        if time.monotonic() > deadline:
            module.fail_json(msg=f"{unit} was not restarted within {module.params['stop_seconds']} s")
        time.sleep(LOOK_SECONDS)
    try:
        module.exit_json(changed=True, counts=counts(request, urls, bot))
    except (NoAnswer, NotCounted) as missing:
        module.fail_json(msg=f"{unit} was restarted, but the gateway does not tell what it counts: {missing}")


def _invocation(module: AnsibleModule, unit: str) -> str:
    """What systemd calls this start of the unit; another one for each."""
    _, said, _ = module.run_command(["systemctl", "show", "--property=InvocationID", "--value", unit], check_rc=True)
    return str(said).strip()


if __name__ == "__main__":
    main()
