"""audit.jsonl: whatever was done to it shows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.site.audit import AuditLog

Ecgfl = Callable[..., Any]
EVENTS = ("ingest", "sent", "removed", "sent-again")


@pytest.fixture
def log(site: Path) -> Path:
    """A log of four lines."""
    path = site / "audit.jsonl"
    for event in EVENTS:
        AuditLog(path).append(event, bytes=len(event))
    return path


def test_an_untouched_log_is_unbroken(log: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    ran = ecgfl("audit", "verify", "--json")
    assert ran.code == 0
    assert ran.json["lines"] == 4


def test_show_shows_every_event_in_order(log: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    assert [entry["event"] for entry in ecgfl("audit", "show", "--json").json["entries"]] == list(EVENTS)
    shown = ecgfl("audit", "show").out
    assert [event for event in EVENTS if event in shown] == list(EVENTS)


def refused(ecgfl: Ecgfl, log: Path) -> str:
    for verb in ("verify", "show"):
        ran = ecgfl("audit", verb)
        assert ran.code == 3
        assert len(ran.err.splitlines()) == len(ran.problems) == 1
        assert str(log) in ran.problems[0]
    return ran.problems[0]


@pytest.mark.parametrize("place", range(4))
def test_a_changed_line_is_found(log: Path, ecgfl: Ecgfl, place: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    lines[place] = lines[place].replace(b'"bytes":', b'"bytes":1')
    log.write_bytes(b"".join(lines))
    refused(ecgfl, log)


@pytest.mark.parametrize("place", range(3))
def test_a_removed_line_is_found(log: Path, ecgfl: Ecgfl, place: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    del lines[place]
    log.write_bytes(b"".join(lines))
    assert f"line {place + 1}" in refused(ecgfl, log)


@pytest.mark.parametrize("place", range(3))
def test_reordered_lines_are_found(log: Path, ecgfl: Ecgfl, place: int) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    log.write_bytes(b"".join(lines))
    refused(ecgfl, log)


def test_a_doubled_line_is_found(log: Path, ecgfl: Ecgfl) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines, lines[-1]]))
    refused(ecgfl, log)


def test_text_that_is_no_json_is_found(log: Path, ecgfl: Ecgfl) -> None:
    log.write_bytes(log.read_bytes() + b"hello\n")
    assert "line 5" in refused(ecgfl, log)


@pytest.mark.parametrize("torn", [b"{", b'{"event":"ingest","previous":"00', b"\xff\xff"])
def test_a_torn_last_line_is_repaired_by_the_next_append(log: Path, ecgfl: Ecgfl, torn: bytes) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + torn)
    AuditLog(log).append("next")
    assert log.read_bytes().startswith(whole)
    assert ecgfl("audit", "verify", "--json").json["lines"] == 6
    *_, told, _ = AuditLog(log).entries()
    assert (told["event"], told["bytes"]) == ("torn-line", len(torn))


def test_a_log_torn_in_its_first_line_starts_anew(site: Path, ecgfl: Ecgfl) -> None:
    (site / "audit.jsonl").write_bytes(b'{"event"')
    AuditLog(site / "audit.jsonl").append("first")
    assert ecgfl("audit", "verify", "--json").json["lines"] == 2


def test_a_line_cannot_be_broken_in_two_by_what_it_holds(site: Path) -> None:
    log = AuditLog(site / "audit.jsonl")
    log.append("ingest", text="a\nb\u2028c\x85d")
    log.append("ingest")
    assert [entry.get("text") for entry in log.entries()] == ["a\nb\u2028c\x85d", None]


def test_an_empty_log_has_no_lines(site: Path, ecgfl: Ecgfl) -> None:
    assert not (site / "audit.jsonl").exists()
    assert ecgfl("audit", "verify", "--json").json["lines"] == 0


def test_a_line_that_is_no_object_is_found(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_text("7\n")
    with pytest.raises(UnusableInput, match="line 1"):
        AuditLog(tmp_path / "audit.jsonl").entries()


def head(ecgfl: Ecgfl) -> str:
    return str(ecgfl("audit", "head", "--json").json["head"])


def test_the_head_is_the_last_lines_hash_and_is_verified(log: Path, ecgfl: Ecgfl) -> None:
    noted = head(ecgfl)
    assert noted == AuditLog(log).entries()[-1]["hash"]
    assert ecgfl("audit", "head").out == f"4 lines, head {noted}\n"
    assert ecgfl("audit", "verify", "--json").json["head"] == noted
    AuditLog(log).append("later")
    assert head(ecgfl) != noted
    assert ecgfl("audit", "verify", "--head", noted).code == 0


@pytest.mark.parametrize("left", range(4))
def test_lines_cut_off_at_the_end_show_against_a_noted_head(log: Path, ecgfl: Ecgfl, left: int) -> None:
    noted = head(ecgfl)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:left]))
    assert ecgfl("audit", "verify").code == 0  # its own chain cannot know
    ran = ecgfl("audit", "verify", "--head", noted)
    assert ran.code == 3
    assert noted in ran.problems[0]
    AuditLog(log).append("goes-on")
    assert ecgfl("audit", "verify", "--head", noted).code == 3


def test_a_log_written_anew_shows_against_a_noted_head(log: Path, ecgfl: Ecgfl) -> None:
    noted = head(ecgfl)
    log.unlink()
    for event in EVENTS:
        AuditLog(log).append(event, bytes=len(event))
    assert ecgfl("audit", "verify").code == 0
    assert ecgfl("audit", "verify", "--head", noted).code == 3


def test_the_head_of_an_empty_log_is_in_every_later_one(site: Path, ecgfl: Ecgfl) -> None:
    noted = head(ecgfl)
    AuditLog(site / "audit.jsonl").append("first")
    assert ecgfl("audit", "verify", "--head", noted).code == 0


@pytest.mark.parametrize("noted", ["", "abc", "0" * 63, "G" * 64])
def test_a_head_that_is_none_is_a_usage_error(log: Path, ecgfl: Ecgfl, noted: str) -> None:  # noqa: ARG001
    assert ecgfl("audit", "verify", "--head", noted).code == 2


def shown(ecgfl: Ecgfl, *arguments: object) -> list[str]:
    return [entry["event"] for entry in ecgfl("audit", "show", "--json", *arguments).json["entries"]]


def test_show_filters_by_event_time_and_number(log: Path, ecgfl: Ecgfl) -> None:
    second = AuditLog(log).entries()[1]["time"]
    assert shown(ecgfl, "--event", "sent") == ["sent"]
    assert shown(ecgfl, "--event", "sent", "--event", "removed") == ["sent", "removed"]
    assert shown(ecgfl, "--last", 2) == list(EVENTS[2:])
    assert shown(ecgfl, "--last", 9) == list(EVENTS)
    assert shown(ecgfl, "--since", second)[-3:] == list(EVENTS[1:])
    assert shown(ecgfl, "--since", "1h") == shown(ecgfl, "--since", second[:10]) == list(EVENTS)
    assert shown(ecgfl, "--since", "2999-01-01") == []
    assert ecgfl("audit", "show", "--event", "none-such").out == "No such lines.\n"


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", ""])
def test_a_time_that_is_none_is_a_usage_error(log: Path, ecgfl: Ecgfl, time: str) -> None:  # noqa: ARG001
    assert ecgfl("audit", "show", "--since", time).code == 2


def test_show_makes_a_table(log: Path, ecgfl: Ecgfl) -> None:  # noqa: ARG001
    out = ecgfl("audit", "show").out
    assert "details" in out
    assert "bytes=6" in out
