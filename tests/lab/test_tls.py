"""TLS by one variable: there and back, every play under it, and certificates of one's own."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.lab.audited import audit
from tests.lab.machine import Machine
from tests.lab.played import Played, play
from tests.support import eventually
from tools.lab.hosts import Lab

pytestmark = pytest.mark.usefixtures("converged")

CA = "/etc/marketdata-collector/store-main-ca.pem"
HEALTH = "curl --silent --show-error --max-time 5 {options} {scheme}://{address}:8086/health 2>&1 || true"


def secured(lab: Lab, playbook: str, *options: str, files: dict[str, str] | None = None) -> Played:
    """A play on an inventory that wants TLS."""
    return play(lab, playbook, "-e", json.dumps({"platform_tls": True, "platform_tls_files": files or {}}), *options)


def asked(machines: dict[str, Machine], scheme: str, options: str = "") -> str:
    """What a collector's host is told when it asks the store how it is."""
    address = machines["influx1"].address
    return machines["collector1"].run(HEALTH.format(options=options, scheme=scheme, address=address))


KEY_USAGE = "-addext keyUsage=critical,keyCertSign,cRLSign"


def certificate(folder: Path, addresses: list[str], authority: str = KEY_USAGE) -> dict[str, str]:
    """An authority and a certificate for some addresses, as a site's own would be."""
    folder.mkdir(exist_ok=True)
    names = ",".join(f"IP:{address}" for address in addresses)
    new = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 90"
    script = f"""
        {new} -subj /CN=site {authority} -keyout ca.key -out ca.pem
        {new} -subj /CN=stores -CA ca.pem -CAkey ca.key -addext subjectAltName={names} \\
            -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out certificate.pem
    """
    subprocess.run(["sh", "-euc", script], cwd=folder, check=True, capture_output=True)
    return {
        kind: str(folder / name)
        for kind, name in {"certificate": "certificate.pem", "key": "key.pem", "authority": "ca.pem"}.items()
    }


def test_the_store_speaks_tls_alone_and_whoever_asks_it_follows(lab: Lab, machines: dict[str, Machine]) -> None:
    began = datetime.now(UTC)
    switched = secured(lab, "site.yml")
    assert switched, switched.output
    assert secured(lab, "site.yml").changed == {}
    assert '"pass"' in asked(machines, "https", f"--cacert {CA}")
    assert "certificate" in asked(machines, "https")  # nobody else vouches for it
    assert '"pass"' not in asked(machines, "http")
    audit(machines["collector1"], began)
    eventually(lambda: bool(secured(lab, "verify.yml")), 300, what="verify.yml without a fault")


def test_every_token_is_replaced_under_tls_after_a_rehearsal_that_changes_nothing(
    lab: Lab, machines: dict[str, Machine]
) -> None:
    noted = lab.folder / "group_vars/all/token_generations.yml"
    digests = "cd /etc/influxdb/tokens && sha256sum *.token"
    before, generations = machines["influx1"].run(digests), noted.read_text(encoding="utf-8") if noted.exists() else ""

    rehearsed = secured(lab, "playbooks/rotate-tokens.yml", "--check")
    assert rehearsed, rehearsed.output
    assert machines["influx1"].run(digests) == before
    assert (noted.read_text(encoding="utf-8") if noted.exists() else "") == generations

    rotated = secured(lab, "playbooks/rotate-tokens.yml")
    assert rotated, rotated.output
    assert not set(before.splitlines()) & set(machines["influx1"].run(digests).splitlines())
    assert yaml.safe_load(noted.read_text(encoding="utf-8")) != yaml.safe_load(generations or "{}")
    machines["collector1"].run("marketdata-collector check")


def test_a_store_that_speaks_tls_is_backed_up_tried_and_restored(lab: Lab, machines: dict[str, Machine]) -> None:
    machines["influx1"].run("systemctl start marketdata-backup.service")
    tried = secured(lab, "playbooks/restore-test.yml")
    assert tried, tried.output
    began = datetime.now(UTC)
    restored = secured(lab, "playbooks/restore.yml", "-e", "restore_host=influx1")
    assert restored, restored.output
    assert "differences: []" in restored.output
    audit(machines["collector1"], began)


def test_certificates_of_ones_own_are_served_and_what_does_not_fit_stops_nothing(
    lab: Lab, machines: dict[str, Machine], tmp_path: Path
) -> None:
    files = certificate(tmp_path, [machines[name].address for name in ("influx1", "monitor1")])
    for name, wrong, why in (
        ("elsewhere", certificate(tmp_path / "elsewhere", ["203.0.113.7"]), "IP address mismatch"),
        ("lax", certificate(tmp_path / "lax", [machines["influx1"].address], ""), "key usage"),
        ("mixed", files | {"key": certificate(tmp_path / "mixed", ["203.0.113.7"])["key"]}, "the key is not the one"),
    ):
        refused = secured(lab, "site.yml", "--limit", "influx1", "--tags", "influxdb", files=wrong)
        assert not refused, name
        assert why in refused.output
        assert '"pass"' in asked(machines, "https", f"--cacert {CA}")

    placed = secured(lab, "site.yml", files=files)
    assert placed, placed.output
    assert machines["collector1"].run(f"cat {CA}") == Path(files["authority"]).read_text(encoding="utf-8")
    assert '"pass"' in asked(machines, "https", f"--cacert {CA}")
    assert secured(lab, "site.yml", files=files).changed == {}

    made = secured(lab, "site.yml")  # and the host's own again
    assert made, made.output
    assert machines["collector1"].run(f"cat {CA}") != Path(files["authority"]).read_text(encoding="utf-8")
    assert '"pass"' in asked(machines, "https", f"--cacert {CA}")


def test_the_same_variable_brings_plain_http_back(lab: Lab, machines: dict[str, Machine]) -> None:
    began = datetime.now(UTC)
    back = play(lab, "site.yml")
    assert back, back.output
    assert play(lab, "site.yml").changed == {}
    assert '"pass"' in asked(machines, "http")
    audit(machines["collector1"], began)
    eventually(lambda: bool(play(lab, "verify.yml")), 300, what="verify.yml without a fault")
