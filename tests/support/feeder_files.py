"""The files that the role feeder gives the bots of the production inventory, rendered as Ansible does."""

import json
import os
import subprocess
import sys
from pathlib import Path

ANSIBLE = Path(__file__).resolve().parents[2] / "ansible"
ROLE = ANSIBLE / "roles/feeder"
HOSTS = ["feeder75", "feeder120", "feeder121", "feeder124"]


def render(folder: Path) -> None:
    """Every bot's <bot>.json and drop-in <unit>.conf, in folders named as its host, in one play."""
    item = {"__feeder_bot": "{{ item }}", "__feeder_command": "freqtrade trade -c x --config {{ item.name }}.json"}
    templates = [
        {
            "ansible.builtin.template": {
                "src": f"{ROLE}/templates/{source}",
                "dest": f"{folder}/{{{{ inventory_hostname }}}}/{name}",
            },
            "loop": "{{ feeder_bots }}",
            "vars": item,
        }
        for source, name in (("bot.json.j2", "{{ item.name }}.json"), ("drop-in.conf.j2", "{{ item.unit }}.conf"))
    ]
    play = {
        "hosts": "feeders",
        "gather_facts": False,
        "vars_files": [f"{ROLE}/vars/main.yml"],
        "vars": {"feeder_gateway_url": "http://127.0.0.1:8090", "ansible_python_interpreter": sys.executable},
        "tasks": [
            {"ansible.builtin.file": {"path": f"{folder}/{{{{ inventory_hostname }}}}", "state": "directory"}},
            *templates,
        ],
    }
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        "inventories/production",
        "--connection",
        "local",
    ]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(folder), "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(
        [*command, str(playbook)], cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
