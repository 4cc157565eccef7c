#!/usr/bin/python
"""Ansible module: one nftables table, on disk and in the kernel."""

from __future__ import annotations

DOCUMENTATION = """
module: nftables_table
short_description: Keep a file of nftables rules, and the table in the kernel equal to it
description:
  - Compares the kernel's table with what the file makes of an empty network namespace, so that rules changed or
    flushed by hand are found.
  - Other tables, such as those of container engines, are left alone.
  - Before it loads rules it sets a timer that puts the old ones back, on disk too. Whoever can still connect stops
    the unit RV(return_timer); so no rule can lock the control host out.
options:
  path:
    description: The file; a service loads it when the host starts.
    type: path
    required: true
  content:
    description: Its content. It must delete the table before it fills it.
    type: str
    required: true
  table:
    description: Name of the table, of family inet.
    type: str
    required: true
  return_seconds:
    description: After this time the old rules come back.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = """
- name: Keep the firewall's rules
  nftables_table:
    path: /etc/marketdata-firewall.nft
    table: marketdata
    content: "{{ lookup('ansible.builtin.template', 'marketdata-firewall.nft.j2') }}"
"""

RETURN = """
loaded:
  description: Whether rules were loaded; the timer then runs.
  type: bool
  returned: success
return_timer:
  description: The unit that puts the old rules back.
  type: str
  returned: success
"""

import shutil  # noqa: E402  Ansible wants the documentation first
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule  # noqa: E402

RETURN_UNIT = "marketdata-firewall-return"
RETURN_FOLDER = Path("/run/marketdata-firewall")
IN_EMPTY_NAMESPACE = 'nft --file "$0" && nft --stateless list table inet "$1"'


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "table": {"type": "str", "required": True},
            "return_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    path, content, table = Path(module.params["path"]), module.params["content"], module.params["table"]
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    wanted, live = _tables(module, content, table)
    file_differs, table_differs = old != content, wanted != live
    if (file_differs or table_differs) and not module.check_mode:
        _arm(module, path, old, table, live)
        if file_differs:
            _write(path, content)
        module.run_command(["nft", "--file", str(path)], check_rc=True)
    diff = []
    if file_differs:
        diff.append({"before": old, "after": content, "before_header": str(path), "after_header": str(path)})
    if table_differs and not file_differs:
        header = f"table inet {table}"
        diff.append({"before": live, "after": wanted, "before_header": header, "after_header": header})
    changed = file_differs or table_differs
    module.exit_json(changed=changed, loaded=changed, return_timer=f"{RETURN_UNIT}.timer", diff=diff)


def _tables(module: AnsibleModule, content: str, table: str) -> tuple[str, str]:
    """The table that the content makes, and the kernel's; equal where nft is yet to be installed."""
    if shutil.which("nft") is None and module.check_mode:
        return "", ""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as candidate:
        candidate.write(content)
        candidate.flush()
        command = ["unshare", "--net", "sh", "-c", IN_EMPTY_NAMESPACE, candidate.name, table]
        code, wanted, error = module.run_command(command)
    if code:
        module.fail_json(msg=f"the rules are not valid, nothing was changed: {error.strip()}")
    code, live, _ = module.run_command(["nft", "--stateless", "list", "table", "inet", table])
    return wanted, live if code == 0 else ""


def _arm(module: AnsibleModule, path: Path, old: str, table: str, live: str) -> None:
    """Set the timer before anything changes."""
    RETURN_FOLDER.mkdir(mode=0o700, exist_ok=True)
    (RETURN_FOLDER / "file").write_text(old, encoding="utf-8")
    (RETURN_FOLDER / "table").write_text(f"table inet {table}\ndelete table inet {table}\n{live}", encoding="utf-8")
    module.run_command(["systemctl", "stop", f"{RETURN_UNIT}.timer"])  # of an earlier run; it need not exist
    script = f"nft --file {RETURN_FOLDER}/table; cp {RETURN_FOLDER}/file {path}"
    timer = [
        f"--unit={RETURN_UNIT}",
        f"--on-active={module.params['return_seconds']}",
        "--timer-property=AccuracySec=1s",
    ]
    module.run_command(["systemd-run", "--quiet", "--collect", *timer, "sh", "-c", script], check_rc=True)


def _write(path: Path, content: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(content, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(path)


if __name__ == "__main__":
    main()
