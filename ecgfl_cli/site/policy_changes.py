"""Record in the audit log what this site allowed, and when."""

from pathlib import Path
from typing import Any

from ecgfl_cli.site.audit import AuditEntries, AuditLog
from ecgfl_cli.site.policy import Policy

EVENT = "policy"


def note_policy(log: Path, policy: Policy) -> None:
    """Log the policy and its changes, unless it is the one that was logged last.

    Parameters
    ----------
    log : Path
        The site's audit log.
    policy : Policy
        The present policy.

    Raises
    ------
    UnusableInput
        The log is damaged.
    """
    AuditLog(log).require_whole()
    values = policy.model_dump(mode="json")
    before = _last_policy(log)
    if before == values:
        return
    changed = {
        name: [before.get(name), value]
        for name, value in values.items()
        if before and before.get(name) != value
    }
    AuditLog(log).append(EVENT, policy=values, changed=changed)


def _last_policy(log: Path) -> dict[str, Any]:
    """Return the policy that was logged last; empty if there is none."""
    _, entries = AuditEntries(log).new()
    policies = [entry.get("policy") for entry in entries if entry.get("event") == EVENT]
    return next((policy for policy in reversed(policies) if isinstance(policy, dict)), {})
