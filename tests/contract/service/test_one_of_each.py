"""What service/ provides is implemented nowhere else: a second implementation would drift apart in time."""

import re

import pytest

from tests.contract.repository.test_repository import ROOT, tracked_and_new

PACKAGES = ("collector", "exchange", "gateway", "sentinel")

ELSEWHERE = {"exchange/circuit.py"}
"""The circuit's time depends on the status that opened it, and is a point in time, not a wait."""


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a life cycle", r"add_signal_handler|STOPPING=1|READY=1|WATCHDOG=1"),
        ("an HTTP server", r"AppRunner|TCPSite|generate_latest|/healthz\","),
        ("a back-off", r"delay\w* \* 2|\* 2(\.0)? \*\* "),
        ("a single flight", r"add_done_callback"),
        ("a durable write", r"os\.replace|\.write_text\(|\.write_bytes\("),
        ("an event loop", r"asyncio\.run\(|asyncio\.Runner"),
    ],
)
def test_what_service_provides_is_written_nowhere_else(what: str, pattern: str) -> None:
    found = [
        f"{file.relative_to(ROOT)} has {what} of its own"
        for package in PACKAGES
        for file in tracked_and_new(f"{package}/**.py")
        if re.search(pattern, file.read_text(encoding="utf-8")) and str(file.relative_to(ROOT)) not in ELSEWHERE
    ]
    assert found == []
