"""The audit log has the policy of each participation, and its changes."""

from pathlib import Path
from typing import Any

from ecgfl_cli.site.audit import LONGEST_LINE, AuditLog
from ecgfl_cli.site.policy import METRICS, Policy
from ecgfl_cli.site.policy_changes import note_policy


def noted(log: Path) -> list[dict[str, Any]]:
    return [entry for entry in AuditLog(log).entries() if entry["event"] == "policy"]


def test_it_is_written_down_at_first_and_whenever_it_has_changed(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    for policy in (
        Policy(),
        Policy(),
        Policy(max_rounds=3, metrics=["loss"]),
        Policy(max_rounds=3, metrics=["loss"]),
        Policy(),
    ):
        note_policy(log, policy)
        AuditLog(log).append("join")
    first, changed, back = noted(log)
    assert first["policy"] == Policy().model_dump(mode="json")
    assert first["changed"] == {}
    assert changed["changed"] == {
        "max_rounds": [200, 3],
        "max_measurements": [210, 13],
        "metrics": [list(METRICS), ["loss"]],
    }
    assert back["policy"] == first["policy"]


def test_a_refusal_by_the_policy_is_not_taken_for_one(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    note_policy(log, Policy())
    AuditLog(log).append("refused", by="policy", policy="x", reason='"event":"policy"')
    note_policy(log, Policy())
    assert len(noted(log)) == 1


def test_a_setting_that_a_newer_ecgfl_brings_is_a_change(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    older = Policy().model_dump(mode="json")
    del older["niceness"]
    AuditLog(log).append("policy", policy=older, changed={})
    note_policy(log, Policy())
    assert noted(log)[-1]["changed"] == {"niceness": [None, 0]}


def test_the_longest_policy_fits_into_a_line(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    longest = Policy(
        architectures=["a" * 64] * 100,
        coordinators=["k" * 64] * 100,
        metrics=list(METRICS),
        hours="22:00-06:00",
    )
    note_policy(log, Policy())
    note_policy(log, longest)
    assert max(len(line) for line in log.read_bytes().splitlines()) < LONGEST_LINE
    AuditLog(log).append("join")
    assert AuditLog(log).head().lines == 3
