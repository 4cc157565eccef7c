"""Desired state -> plan -> apply, in one call for the command, the Ansible module and the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import token_files
from .api import Api, is_fresh, observe
from .apply import Applier, operator_token
from .desired import Desired
from .observed import Observed
from .plan import plan


@dataclass(frozen=True)
class Result:
    """lines: the changes, in words (made, or with `check` only planned); reports: found and left alone."""

    lines: tuple[str, ...]
    reports: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return bool(self.lines)


def reconcile(
    url: str,
    desired: Desired,
    secrets_dir: Path,
    *,
    operator_token_file: Path | None = None,
    ca_file: Path | None = None,
    check: bool = False,
) -> Result:
    """Make the server at url hold what is desired; a second call changes nothing.

    A server that nobody has set up is set up; the operator's token is then written to operator_token_file (default:
    operator.token in secrets_dir), the consumers' tokens to `<kind>-<consumer>.token` in secrets_dir, all readable by
    their owner alone. ca_file (PEM) is trusted besides the system's authorities. With check nothing is written
    anywhere. Raises ReconcileError: one line that says what to do.
    """
    operator_token_file = operator_token_file or secrets_dir / "operator.token"
    api = Api(url, ca_file=ca_file)
    files = token_files.observe_files(secrets_dir)
    if is_fresh(api):
        observed = Observed(fresh=True, files=files)
    else:
        api.token = operator_token(operator_token_file)
        observed = observe(api, desired.org, files)
    planned = plan(desired, observed)
    if not check:
        applier = Applier(api, desired.org, secrets_dir, operator_token_file)
        for change in planned.changes:
            applier.apply(change)
    return Result(tuple(planned.lines()), planned.reports)
