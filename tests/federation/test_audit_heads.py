"""The coordinator keeps the head of each site's audit log, and reports one that goes back."""

from pathlib import Path

import pytest
from federation_homes import SITES
from flwr.app import MetricRecord, RecordDict
from node_processes import told
from shared_runs import Finished

from ecgfl_cli.federation.coordinator.identity.audit_heads import AuditHeads
from ecgfl_cli.federation.flower.codec import content_of, record_of
from ecgfl_cli.federation.messages import AUDIT, Content, audit_head_of, with_audit_head
from ecgfl_cli.site.audit import FIRST, Head

A, B = "a" * 64, "b" * 64


def test_a_head_that_grows_is_kept(tmp_path: Path) -> None:
    heads = AuditHeads(tmp_path / "heads.json")
    assert heads.receive({"alice": Head(0, FIRST)}) == {}
    assert heads.receive({"alice": Head(5, A)}) == {}
    assert heads.receive({"alice": Head(5, A), "bob": Head(1, B)}) == {}
    kept = AuditHeads(tmp_path / "heads.json").sites
    assert {name: (head.newest.lines, head.newest.hash) for name, head in kept.items()} == {
        "alice": (5, A),
        "bob": (1, B),
    }


@pytest.mark.parametrize("head", [Head(4, B), Head(0, FIRST), Head(5, B)])
def test_a_head_that_goes_back_is_told(tmp_path: Path, head: Head) -> None:
    heads = AuditHeads(tmp_path / "heads.json")
    heads.receive({"alice": Head(5, A)})
    assert A in heads.receive({"alice": head})["alice"]
    assert heads.receive({"alice": Head(head.lines + 1, A)}) == {}
    replaced = AuditHeads(tmp_path / "heads.json").sites["alice"].replaced
    assert replaced is not None
    assert (replaced.lines, replaced.hash) == (5, A)


def test_a_reply_carries_it() -> None:
    head = Head(7, "0123456789abcdef" * 4)
    received = content_of(record_of(with_audit_head(Content(figures={"loss": 0.5}), head)))
    assert audit_head_of(received) == head
    assert received.figures == {"loss": 0.5}
    assert audit_head_of(content_of(record_of(Content(figures={"loss": 0.5})))) is None


@pytest.mark.parametrize(
    "record",
    [
        *(
            {},
            {"lines": 1},
            {"lines": -1, "hash": [0] * 32},
            {"lines": 1, "hash": [0] * 31},
            {"lines": 1, "hash": [256] * 32},
        ),
        *(
            {"lines": 2**62, "hash": [0] * 32},
            {"lines": 1, "hash": [0] * 32, "more": 1},
            {"lines": 1, "hash": [0.5] * 32},
        ),
    ],
)
def test_a_broken_one_is_refused(record: dict[str, object]) -> None:
    content = RecordDict({AUDIT: MetricRecord(record)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=AUDIT):
        audit_head_of(content_of(content))


@pytest.mark.parametrize("name", SITES)
def test_after_a_run_the_site_can_compare(finished: Finished, name: str) -> None:
    sites = told(finished.homes.coordinator, "coordinator", "sites").result["sites"]
    head = next(site["audit"]["newest"] for site in sites if site["site"] == name)
    home = finished.homes.site(name).root
    assert told(home, "audit", "verify", "--head", head["hash"]).code == 0
    entries = told(home, "audit", "show", "--all").result["entries"]
    assert entries[head["lines"] - 1]["hash"] == head["hash"]
    assert entries[head["lines"]]["event"] == "send"
