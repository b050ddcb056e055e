"""What the audit log says about the privacy ledger.

The audit log names the head of the ledger after each reservation. A ledger that was deleted,
shortened or replaced by an older one does not have that line. A new audit log takes over what the
old one said.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.site.audit import FIRST, RESTARTED, AuditEntries, AuditLog, Head
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy_changes import EVENT as POLICY
from ecgfl_cli.site.settings import load_settings

RESERVED = "privacy-reserved"
"""Event of the audit log: the head of the ledger after a reservation."""

LEDGER_LOST = "privacy-lost"
"""Event of the audit log: a new ledger is about to be begun."""

LEDGER_RESTARTED = "privacy-restarted"
"""Event of the audit log: the head of a new ledger that replaces a lost one."""


@dataclass(frozen=True)
class Note:
    """A line of the audit log about the ledger.

    Attributes
    ----------
    head : Head or None
        Line that the ledger must have; None if the ledger was lost and nothing is known of it.
    time : str
        Time of the line.
    """

    head: Head | None
    time: str

    @property
    def fields(self) -> dict[str, Any]:
        """The head as keys of a line."""
        return fields_of(self.head)

    def agrees_with(self, hashes: dict[int, str]) -> bool:
        """Return whether a ledger with these hashes of lines is the one that is meant.

        Parameters
        ----------
        hashes : dict of int to str
            Number of each line -> its hash.
        """
        if self.head is None:
            return len(hashes) > 1
        return hashes.get(self.head.lines) == self.head.hash


def fields_of(head: Head | None) -> dict[str, Any]:
    """Return the head of a ledger as keys of a line of the audit log."""
    return {
        "lines": None if head is None else head.lines,
        "head": None if head is None else head.hash,
    }


def last_note(entries: Iterable[dict[str, Any]]) -> Note | None:
    """Return what the audit log said last about the ledger; None if it said nothing."""
    note = None
    for entry in entries:
        event = entry.get("event")
        if event in (RESERVED, LEDGER_LOST, LEDGER_RESTARTED):
            note = _note(entry, entry["time"])
        elif event == RESTARTED and isinstance(entry.get("ledger"), dict):
            note = _note(entry["ledger"], entry["time"])
    return note


def hashes_of(entries: Iterable[dict[str, Any]]) -> dict[int, str]:
    """Return the number of each line -> its hash, and 0 -> the hash before the first line."""
    return {0: FIRST} | {entry["line"]: entry["hash"] for entry in entries}


def carried_over(home: Home, ledger: AuditLog) -> dict[str, Any] | None:
    """Return what a new audit log must say about the ledger, before the old log is replaced.

    Parameters
    ----------
    home : Home
        Home of the site, with a damaged or lost audit log.
    ledger : AuditLog
        The ledger.

    Returns
    -------
    dict or None
        The head of the ledger. Both values are None if the ledger may have been lost with the audit
        log. None if there was no ledger.
    """
    _, readable = AuditEntries(home.audit).new()  # also the lines behind the damage
    note = last_note(entry for entry in readable if isinstance(entry.get("time"), str))
    try:
        hashes = hashes_of(ledger.entries())
    except UnusableInput:  # the note still says which ledger to restore
        hashes = {}
    lines = len(hashes) - 1
    if lines > 0 and (note is None or note.agrees_with(hashes)):
        return fields_of(Head(lines, hashes[lines]))
    if note is not None:
        return note.fields
    may_be_lost = lines < 0 or (
        _has_lost_lines(home, len(readable)) and _may_have_been_private(home, readable)
    )
    return fields_of(None) if may_be_lost else None


def _note(fields: dict[str, Any], time: str) -> Note:
    lines, head = fields.get("lines"), fields.get("head")
    if isinstance(lines, int) and isinstance(head, str):
        return Note(Head(lines, head), time)
    return Note(None, time)


def _has_lost_lines(home: Home, readable: int) -> bool:
    """Return whether some lines of the audit log are lost, as far as audit.head says."""
    try:
        head = AuditLog(home.audit).noted_head()
    except UnusableInput:
        return True
    return head is None or readable < head.lines


def _may_have_been_private(home: Home, readable: Iterable[dict[str, Any]]) -> bool:
    """Return whether site.toml or a line of the audit log names differential privacy."""
    policies = [entry.get("policy") for entry in readable if entry.get("event") == POLICY]
    try:
        is_private = load_settings(home.settings).policy.dp is not None
    except (UsageError, OSError):  # what it said is unknown
        return True
    return is_private or any(isinstance(policy, dict) and policy.get("dp") for policy in policies)
