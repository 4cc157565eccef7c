"""What every role, inventory and the Vagrantfile must have; what needs hosts is in tests/lab."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.rendered import calls

ROOT = Path(__file__).resolve().parents[3]
ANSIBLE = ROOT / "ansible"
ROLES = sorted(path for path in (ANSIBLE / "roles").iterdir() if path.is_dir())
PLAYBOOKS = [
    "site.yml",
    "verify.yml",
    *sorted(f"playbooks/{path.name}" for path in (ANSIBLE / "playbooks").glob("*.yml")),
]


def content(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def specification(role: Path) -> dict[str, Any]:
    options: dict[str, Any] = content(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return options


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_a_role_says_what_it_is_and_specifies_every_variable_with_its_default(role: Path) -> None:
    assert (role / "README.md").read_text(encoding="utf-8").startswith(f"# {role.name}\n")
    optional = {name: option for name, option in specification(role).items() if not option.get("required")}
    defaults = content(role / "defaults/main.yml")
    assert {name: option.get("default") for name, option in optional.items()} == defaults


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_variables_of_a_role_carry_its_name(role: Path) -> None:
    names = [*specification(role)]
    if (role / "vars/main.yml").exists():
        names += content(role / "vars/main.yml")
    assert [name for name in names if not name.lstrip("_").startswith(f"{role.name}_")] == []


def test_a_role_of_our_services_has_the_templates_and_gates_that_the_shared_role_looks_for() -> None:
    """Nothing else sees it before a roll: they are included by names that are made when it runs."""
    found = [(role, variables) for role in ROLES for variables in calls(role, "service")]
    assert {role.name for role, _ in found} == {"collector", "gateway", "sentinel"}
    for role, variables in found:
        assert variables["service_name"] == role.name
        for file in (
            f"templates/{role.name}.toml.j2",
            f"templates/marketdata-{role.name}.service.j2",
            *(f"tasks/{hook}.yml" for hook in ("gate_after", *variables.get("service_hooks", []))),
        ):
            assert (role / file).is_file(), file


def test_a_third_party_services_role_has_its_unit_and_notifies_handlers_that_there_are() -> None:
    found = [(role, variables) for role in ROLES for variables in calls(role, "daemon")]
    assert len({role for role, _ in found}) == 6
    for role, variables in found:
        unit = (role / f"templates/{variables['daemon_unit']}.j2").read_text(encoding="utf-8")
        assert "{% include 'hardening.j2' +%}\n" in unit or role.name == "node_exporter"
        handlers = {f"{verb} {variables['daemon_title']}" for verb in ("Restart", "Reload")}
        notified = re.findall(
            r"notify: \[?([^\]\n]+)",
            "".join(file.read_text(encoding="utf-8") for file in (role / "tasks").glob("*.yml")),
        )
        assert set(notified) <= handlers


@pytest.mark.parametrize("inventory", ["lab", "production"])
def test_every_playbook_is_valid_with_the_inventory(inventory: str, tmp_path: Path) -> None:
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)}
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "--syntax-check",
        "-i",
        f"inventories/{inventory}",
    ]
    done = subprocess.run(
        [*command, *PLAYBOOKS], cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_an_inventory_says_wins_over_the_platforms_own_group_vars(tmp_path: Path) -> None:
    """Ansible's own order is the other way round: an operator's value would have no effect, and nobody would say so."""
    inventory = tmp_path / "inventory"
    shutil.copytree(ANSIBLE / "inventories/production", inventory)
    said = {"platform_viewers": ["10.20.0.0/16"], "platform_tls": True}
    (inventory / "group_vars/all/ours.yml").write_text(yaml.safe_dump(said), encoding="utf-8")
    (inventory / "group_vars/all/site.yml").unlink()
    (inventory / "group_vars/collectors/ours.yml").write_text("collector_listen: 0.0.0.0:9999\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(inventory), "--playbook-dir", "."]
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)}
    done = subprocess.run(
        [*command, "--host", "feed1"], cwd=ANSIBLE, env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["platform_viewers"] == ["10.20.0.0/16"]
    assert found["platform_tls"] is True
    assert found["collector_listen"] == "0.0.0.0:9999"
    assert found["collector_stores"] == "{{ platform_stores }}"


def test_both_inventories_have_the_groups_that_the_table_of_ports_names() -> None:
    ports = content(ANSIBLE / "group_vars/all/ports.yml")["platform_ports"]
    named = {entry["group"] for entry in ports} | {group for entry in ports for group in entry["clients"]}
    for inventory, extra in (("lab", {"platform"}), ("production", {"platform", "simulator"})):
        children = content(ANSIBLE / f"inventories/{inventory}/hosts.yml")["all"]["children"]
        assert named - extra <= children.keys() | children["platform"]["children"].keys()


def test_the_vagrantfile_takes_its_machines_from_the_labs_inventory() -> None:
    """So they cannot disagree. One provisioner, of the machine that is up last, for all of them."""
    text = (ROOT / "Vagrantfile").read_text(encoding="utf-8")
    assert 'INVENTORY = "ansible/inventories/lab"' in text
    assert 'machine.vm.network "private_network", ip: host["ansible_host"]' in text
    assert re.findall(r"\d+\.\d+\.\d+\.\d+", text) == []
    named = set(re.findall(r'"(\w+)" => \d+', text)) | {"exchange"}
    assert named <= content(ANSIBLE / "inventories/lab/hosts.yml")["all"]["hosts"].keys()
    assert text.count("machine.vm.provision ") == 1
    assert text.index("next unless name == HOSTS.keys.last") < text.index("machine.vm.provision ")


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="vagrant is not on PATH")
def test_vagrant_finds_the_vagrantfile_valid(tmp_path: Path) -> None:
    environment = {**os.environ, "VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "machines")}
    command = ["vagrant", "validate", "--ignore-provider"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
