"""What this site allowed and when, in its audit log."""

import json
from pathlib import Path
from typing import Any

from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.policy import Policy

EVENT = "policy"


def note_policy(log: Path, policy: Policy) -> None:
    """Log the policy and its changes, unless it is the one that was logged last.

    Raises `UnusableInput` if the log is damaged.
    """
    AuditLog(log).require_whole()
    values = policy.model_dump(mode="json")
    before = _last(log)
    if before == values:
        return
    changed = (
        {
            name: [before.get(name), value]
            for name, value in values.items()
            if before.get(name) != value
        }
        if before
        else {}
    )
    AuditLog(log).append(EVENT, policy=values, changed=changed)


def _last(log: Path) -> dict[str, Any] | None:
    """Return the policy that was logged last, or None."""
    found = None
    if log.is_file():
        with log.open("rb") as lines:
            for line in lines:
                if b'"event":"policy"' in line:
                    found = _policy_of(line) or found
    return found


def _policy_of(line: bytes) -> dict[str, Any] | None:
    try:
        policy = json.loads(line)["policy"]
        return policy if isinstance(policy, dict) else None
    except (ValueError, KeyError, TypeError):
        return None
