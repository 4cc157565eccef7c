#!/usr/bin/python
"""Ansible module: how a bot's service stands towards the gateway: its command, its settings and what runs of it."""

from __future__ import annotations

DOCUMENTATION = """
module: freqtrade_bot
short_description: Tell what a bot's service starts, what would lead it past the gateway, and what runs of it
description:
  - Looks and changes nothing.
  - Settings are read from the files that the running freqtrade was given, or else those of the unit's command, and from
    the environment of the running processes, or else the unit's. None of their values is returned.
options:
  unit:
    description: The service, with its suffix.
    type: str
    required: true
  config:
    description: The file that the role gives the bot.
    type: path
    required: true
  gateway_url:
    description: Where its public requests are to go.
    type: str
    required: true
  command:
    description: What the service is to start instead of its own ExecStart, with C({config}) in it.
    type: str
    default: ""
  without:
    description: Name of the role's drop-in, which is not the service's own.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
"""

EXAMPLES = """
- name: Look at the bot
  freqtrade_bot:
    unit: freqtrade.service
    config: /etc/marketdata-feeder/a.json
    gateway_url: http://127.0.0.1:8090
    without: 90-ours.conf
"""

RETURN = """
refused:
  description: Why it cannot be pointed at the gateway as it is, and what to write instead; empty if it can.
  type: list
  elements: str
  returned: success
command:
  description: What its service is to start, with RV(ignore:config) in it; empty if it has not one command.
  type: str
  returned: success
settings:
  description: The files that were read for RV(refused).
  type: list
  elements: str
  returned: success
active:
  description: Whether it is up or coming up.
  type: bool
  returned: success
given:
  description: Whether a process of it was itself given the file, as its command line in /proc has it.
  type: bool
  returned: success
started:
  description: When its main process was started, in seconds since 1970; 0 if there is none.
  type: int
  returned: success
restarts:
  description: How often systemd has restarted it by itself since it was started.
  type: int
  returned: success
"""

import shlex  # noqa: E402  Ansible wants the documentation first
from collections.abc import Iterable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from ansible.module_utils import bot_commands, bot_settings, process_tree, unit_files  # noqa: E402
from ansible.module_utils.basic import AnsibleModule  # noqa: E402

PROPERTIES = (
    "LoadState",
    "FragmentPath",
    "DropInPaths",
    "ActiveState",
    "MainPID",
    "NRestarts",
    "ExecMainStartTimestamp",
    "WorkingDirectory",
    "Environment",
    "EnvironmentFiles",
)
MORE = "docs/freqtrade.md, Behind a proxy, says what to write instead"
MOST_FILES = 50
"""Of a configuration and what it includes; freqtrade refuses a loop, we only must not follow it."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "config": {"type": "path", "required": True},
            "gateway_url": {"type": "str", "required": True},
            "command": {"type": "str", "default": ""},
            "without": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    unit, config, given_command = (module.params[name] for name in ("unit", "config", "command"))
    is_ = _shown(module, unit)
    own = unit_files.commands(_texts(is_, module.params["without"]))
    running = process_tree.tree(int(is_["MainPID"]))
    command = (
        given_command.replace(bot_commands.PLACE, config)
        if given_command
        else f"{own[0]} --config {config}"
        if len(own) == 1
        else ""
    )
    environments = [process.environment for process in running] or [_environment(is_)]
    files = dict(_settings(_begin(running, [*own, given_command], is_["WorkingDirectory"]), config))
    module.exit_json(
        changed=False,
        refused=[
            f"{unit} {reason}"
            for reason in (
                *_command_reasons(is_, own, given_command),
                *_setting_reasons(environments, files, bot_settings.host_of(module.params["gateway_url"])),
            )
        ],
        command=command,
        settings=sorted(files),
        active=is_["ActiveState"] in ("active", "activating", "reloading"),
        given=any(_was_given(process.argv, config, own_command=not given_command) for process in running),
        started=int(is_["ExecMainStartTimestamp"].lstrip("@") or 0) if is_["MainPID"] != "0" else 0,
        restarts=int(is_["NRestarts"]),
    )


def _shown(module: AnsibleModule, unit: str) -> dict[str, str]:
    show = ["systemctl", "show", "--timestamp=unix", f"--property={','.join(PROPERTIES)}", unit]
    _, said, _ = module.run_command(show, check_rc=True)
    is_ = dict.fromkeys(PROPERTIES, "")
    for line in said.splitlines():
        name, _, value = line.partition("=")
        is_[name] = f"{is_[name]}\n{value}".strip() if name == "EnvironmentFiles" else value
    return is_


def _texts(is_: dict[str, str], without: str) -> list[str]:
    paths = [Path(is_["FragmentPath"]), *map(Path, shlex.split(is_["DropInPaths"]))] if is_["FragmentPath"] else []
    return [path.read_text(encoding="utf-8") for path in paths if path.name != without and path.exists()]


def _command_reasons(is_: dict[str, str], own: list[str], given: str) -> Iterator[str]:
    if is_["LoadState"] != "loaded" or not is_["FragmentPath"]:
        yield "is missing: systemd knows no file of this unit"
    elif given:
        yield from filter(None, [bot_commands.refusal_of_given(given)])
    elif len(own) != 1:
        yield f"has {len(own)} commands (ExecStart): give the bot a `command` with {bot_commands.PLACE}"
    else:
        yield from filter(None, [bot_commands.refusal(own[0])])


def _setting_reasons(environments: list[dict[str, str]], files: dict[str, Any], host: str) -> Iterator[str]:
    names = {name for environment in environments for name in bot_settings.proxies_in_environment(environment, host)}
    for name in sorted(names):
        if name.startswith(bot_settings.PREFIX):
            yield f"has {name} in its environment, which takes the word over the gateway's settings: remove it"
        else:
            yield f"has {name} in its environment, a proxy for {host} as well: add {host} to its NO_PROXY"
    bypassed = all(bot_settings.bypasses(environment, host) for environment in environments)
    for path, content in files.items():
        for name in bot_settings.proxies_in_file(content, bypassed=bypassed):
            yield f"has {name} in {path}: requests for {host} would go to a proxy ({MORE})"


def _was_given(argv: list[str], config: str, *, own_command: bool) -> bool:
    if own_command:
        return bot_commands.script(argv) is None and config in bot_commands.configs(bot_commands.trading(argv))
    return bot_commands.runs_with(argv, config)


def _begin(running: list[process_tree.Process], commands: list[str], working: str) -> Iterator[tuple[Path, Path, str]]:
    """The root, the folder and the name of each file that freqtrade is given."""
    bots = [
        process
        for process in running
        if bot_commands.script(process.argv) is None and bot_commands.trading(process.argv)
    ]
    for process in bots:
        for name in bot_commands.configs(bot_commands.trading(process.argv)):
            yield process.root, Path(process.folder), name
    if not bots:
        for command in commands:
            for name in bot_commands.configs(
                bot_commands.words(bot_commands.script(bot_commands.words(command)) or command)
            ):
                yield Path("/"), Path(working.lstrip("!-") or "/"), name


def _settings(begin: Iterable[tuple[Path, Path, str]], ours: str) -> Iterator[tuple[str, Any]]:
    """What can be read of these files and of those that they include: path and content."""
    ahead, seen = list(begin), set()
    while ahead and len(seen) < MOST_FILES:
        root, folder, name = ahead.pop(0)
        path = folder / name
        if (root, path) in seen or str(path) == ours:
            continue
        seen.add((root, path))
        try:
            content = bot_settings.parsed((root / str(path).lstrip("/")).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # freqtrade has the last word on it: it does not start without
            continue
        yield str(path), content
        more = content.get("add_config_files")
        ahead.extend((root, path.parent, str(inner)) for inner in (more if isinstance(more, list) else ()))


def _environment(is_: dict[str, str]) -> dict[str, str]:
    """The environment that the unit's files ask for."""
    words = _split(is_["Environment"])
    for line in is_["EnvironmentFiles"].splitlines():
        try:
            text = Path(line.partition(" (")[0]).read_text(encoding="utf-8")
        except OSError:
            continue
        words += [
            word
            for entry in text.splitlines()
            if not entry.lstrip().startswith((";", "#"))
            for word in _split(entry)[:1]
        ]
    return dict(word.split("=", 1) for word in words if "=" in word)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote of a value, not of ours
        return text.split()


if __name__ == "__main__":
    main()
