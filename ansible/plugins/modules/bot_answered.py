#!/usr/bin/python
"""Ansible module: waits until a gateway has counted requests of a bot, and changes nothing."""

from __future__ import annotations

DOCUMENTATION = """
module: bot_answered
short_description: Wait until a gateway has counted more requests of a bot
options:
  bot:
    description: The bot's name in the paths it asks.
    type: str
    required: true
  metrics_urls:
    description: /metrics of the gateways that may answer it.
    type: list
    elements: str
    required: true
  counts:
    description: What each had counted before, as bot_restart returned it.
    type: list
    elements: int
    required: true
  wait_seconds:
    description: How long the bot may take to ask.
    type: int
    required: true
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: See that the gateway answers the bot
  bot_answered:
    bot: feeder75-a
    metrics_urls: [http://127.0.0.1:8090/metrics]
    counts: "{{ restarted.counts }}"
    wait_seconds: 240
"""

RETURN = """
counts:
  description: Requests of the bot that each gateway has counted.
  type: list
  elements: int
  returned: success
"""

import time  # noqa: E402  Ansible wants the documentation first

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.bot_requests import NotCounted, counts, grown  # noqa: E402
from ansible.module_utils.platform_proofs import NoAnswer, request  # noqa: E402

LOOK_SECONDS = 1.0


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "bot": {"type": "str", "required": True},
            "metrics_urls": {"type": "list", "elements": "str", "required": True},
            "counts": {"type": "list", "elements": "int", "required": True},
            "wait_seconds": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    bot, urls, before = (module.params[name] for name in ("bot", "metrics_urls", "counts"))
    deadline = time.monotonic() + module.params["wait_seconds"]
    while True:
        try:
            now = counts(request, urls, bot)
            missing = f"{', '.join(urls)} counted no request of {bot} within {module.params['wait_seconds']} s"
        except (NoAnswer, NotCounted) as silent:  # a gateway that is restarted meanwhile
            now, missing = before, str(silent)
        if grown(before, now):
            module.exit_json(changed=False, counts=now)
        if time.monotonic() > deadline:
            module.fail_json(msg=f"{missing}: it asks something else than what it was given", counts=now)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
