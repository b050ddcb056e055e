"""audit.jsonl: whatever was done to it shows."""

import hashlib
import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli import times
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.site import audit
from ecgfl_cli.site.audit import FIRST, AuditLog
from ecgfl_cli.site.requests import recorded

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
    assert [entry["event"] for entry in ecgfl("audit", "show", "--json").json["entries"]] == list(
        EVENTS
    )
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
def test_a_torn_last_line_is_repaired_by_the_next_append(
    log: Path, ecgfl: Ecgfl, torn: bytes
) -> None:
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
def test_finds_lines_cut_off_at_the_end(log: Path, ecgfl: Ecgfl, left: int) -> None:
    noted = head(ecgfl)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:left]))
    assert "audit.head" in refused(ecgfl, log)
    assert ecgfl("audit", "verify", "--head", noted).code == 3
    with pytest.raises(UnusableInput, match=r"audit\.head"):
        AuditLog(log).append("goes-on")


def test_finds_a_deleted_log(log: Path, ecgfl: Ecgfl) -> None:
    log.unlink()
    assert "missing" in refused(ecgfl, log)


def test_finds_a_log_written_anew(log: Path, ecgfl: Ecgfl) -> None:
    head_file = log.with_name("audit.head")
    kept = head_file.read_bytes()
    for path in (log, head_file):
        path.unlink()
    for event in (*EVENTS, "more"):
        AuditLog(log).append(event, bytes=len(event))
    head_file.write_bytes(kept)
    assert "rewritten" in refused(ecgfl, log)


def test_a_noted_head_shows_that_both_files_were_replaced(log: Path, ecgfl: Ecgfl) -> None:
    noted = head(ecgfl)
    for path in (log, log.with_name("audit.head")):
        path.unlink()
    for event in EVENTS:
        AuditLog(log).append(event, bytes=len(event))
    assert ecgfl("audit", "verify").code == 0
    assert ecgfl("audit", "verify", "--head", noted).code == 3


def test_finds_a_deleted_head(log: Path, ecgfl: Ecgfl) -> None:
    log.with_name("audit.head").unlink()
    for verb in ("verify", "show"):
        ran = ecgfl("audit", verb)
        assert (ran.code, "audit.head: missing" in ran.err) == (3, True)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 3000, b'{"lines":' + b"9" * 4000 + b"}", b"\xff" * 10_000]
)
def test_finds_a_damaged_head(log: Path, ecgfl: Ecgfl, content: bytes) -> None:
    log.with_name("audit.head").write_bytes(content)
    assert ecgfl("audit", "verify").code == 3
    assert ecgfl("audit", "restart", "--reason", "test").code == 0
    assert ecgfl("audit", "verify").code == 0


def test_a_head_that_lags_is_brought_up_to_date(log: Path, ecgfl: Ecgfl) -> None:
    """As after a kill between the line and the head."""
    head_file = log.with_name("audit.head")
    kept = head_file.read_bytes()
    AuditLog(log).append("later")
    head_file.write_bytes(kept)
    assert ecgfl("audit", "verify", "--json").json["lines"] == 5
    AuditLog(log).append("last")
    assert json.loads(head_file.read_bytes())["lines"] == 6


def line_of(before: str, **fields: object) -> bytes:
    """A line whose hash is right, as somebody could write it who knows how."""
    entry = {"previous": before, **fields}
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return (
        json.dumps(
            {**entry, "hash": hashlib.sha256(text.encode()).hexdigest()}, sort_keys=True
        ).encode()
        + b"\n"
    )


def old_log(path: Path, *times: str) -> str:
    """A log of the first release, without numbers and audit.head. Returns the last hash."""
    previous = FIRST
    with path.open("wb") as file:
        for time in times:
            line = line_of(previous, event="ingest", time=time)
            file.write(line)
            previous = json.loads(line)["hash"]
    return previous


def test_goes_on_with_an_old_log(site: Path, ecgfl: Ecgfl) -> None:
    log = site / "audit.jsonl"
    old_log(
        log, "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00", "2026-01-01T23:59:30+00:00"
    )
    assert ecgfl("audit", "verify", "--json").json["lines"] == 3
    AuditLog(log).append("next")
    assert ecgfl("audit", "verify", "--json").json["lines"] == 4
    assert (site / "audit.head").is_file()
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    assert "1 lines are missing" in refused(ecgfl, log)


def test_finds_a_backdated_line(site: Path, ecgfl: Ecgfl) -> None:
    log = site / "audit.jsonl"
    old_log(
        log, "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00", "2026-01-01T23:58:00+00:00"
    )
    assert "line 3" in refused(ecgfl, log)


@pytest.mark.parametrize("number", [{}, {"line": 5}, {"line": 6}, {"line": "5"}, {"line": True}])
def test_finds_a_backdated_line_after_the_head(
    log: Path, ecgfl: Ecgfl, number: dict[str, object]
) -> None:
    line = line_of(
        AuditLog(log).head().hash, event="send", time="2020-01-01T00:00:00+00:00", **number
    )
    log.write_bytes(log.read_bytes() + line)
    assert "line 5" in refused(ecgfl, log)
    with pytest.raises(UnusableInput, match="line 5"):
        AuditLog(log).append("next")


@pytest.mark.parametrize("time", [None, 7, "yesterday", "2999-01-01T00:00:00", [[]]])
def test_finds_a_line_without_a_time(log: Path, ecgfl: Ecgfl, time: object) -> None:
    line = line_of(AuditLog(log).head().hash, event="send", time=time, line=5)
    log.write_bytes(log.read_bytes() + line)
    assert "line 5" in refused(ecgfl, log)


EDGES = [
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:01+23:00",
    "9999-12-31T23:59:59-23:00",
    "1970-01-01T00:00:00Z",
]


@pytest.mark.parametrize("time", EDGES)
def test_a_line_at_the_edge_of_the_calendar(log: Path, ecgfl: Ecgfl, time: str) -> None:
    log.write_bytes(
        log.read_bytes() + line_of(AuditLog(log).head().hash, event="send", time=time, line=5)
    )
    assert "line 5" in refused(ecgfl, log)
    with pytest.raises(UnusableInput, match="line 5"):
        AuditLog(log).append("next")
    assert ecgfl("audit", "restart", "--reason", "test").code == 0
    assert ecgfl("audit", "verify").code == 0


@pytest.mark.parametrize("time", EDGES)
def test_a_head_at_the_edge_of_the_calendar(log: Path, ecgfl: Ecgfl, time: str) -> None:
    head = log.with_name("audit.head")
    head.write_text(json.dumps(json.loads(head.read_text()) | {"latest": time}))
    for verb in ("verify", "show"):
        assert ecgfl("audit", verb).code == 3
    with pytest.raises(UnusableInput, match="damaged"):
        AuditLog(log).append("next")
    assert ecgfl("audit", "restart", "--reason", "test").code == 0
    assert ecgfl("audit", "verify").code == 0


@pytest.mark.parametrize("time", EDGES)
def test_requests_at_the_edge_of_the_calendar_are_ignored(time: str) -> None:
    entry = {"event": "request", "work": "train", "run": "r", "round": 1, "request": "1"}
    assert recorded({**entry, "time": "2026-01-01T00:00:00Z"}) is not None
    assert recorded({**entry, "time": time}) is None


def test_does_not_write_with_a_clock_in_another_century(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reset(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(1970, 1, 1, tzinfo=tz)

    before = log.read_bytes()
    monkeypatch.setattr(times, "datetime", Reset)
    with pytest.raises(UnusableInput, match="clock says 1970-01-01"):
        AuditLog(log).append("next")
    assert log.read_bytes() == before


def test_finds_a_line_nested_deeply(log: Path, ecgfl: Ecgfl) -> None:
    log.write_bytes(log.read_bytes() + b"[" * 30_000 + b"]" * 30_000 + b"\n")
    assert "line 5" in refused(ecgfl, log)


def test_a_clock_set_back_is_explained(
    log: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = audit.log_time()
    monkeypatch.setattr(audit, "log_time", lambda: now - timedelta(hours=2))
    AuditLog(log).append("next")
    AuditLog(log).append("after")
    monkeypatch.setattr(audit, "log_time", lambda: now)
    AuditLog(log).append("last")
    assert ecgfl("audit", "verify").code == 0
    explained, *later = AuditLog(log).entries()[4:]
    assert (explained["event"], explained["behind_seconds"]) == (
        "clock-behind",
        pytest.approx(7200, abs=30),
    )
    assert [entry["event"] for entry in later] == ["next", "after", "last"]


@pytest.mark.parametrize("seconds", [0, 59])
def test_a_small_clock_step_needs_no_explanation(
    log: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    latest = datetime.fromisoformat(AuditLog(log).entries()[-1]["time"])
    monkeypatch.setattr(audit, "log_time", lambda: latest - timedelta(seconds=seconds))
    AuditLog(log).append("next")
    assert ecgfl("audit", "verify", "--json").json["lines"] == 5


def test_many_small_steps_back_need_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    latest = datetime.fromisoformat(AuditLog(log).entries()[-1]["time"])
    for place in range(1, 4):
        monkeypatch.setattr(
            audit, "log_time", lambda place=place: latest - timedelta(seconds=50 * place)
        )
        AuditLog(log).append("next")
    assert [entry["event"] for entry in AuditLog(log).entries()[4:]] == [
        "next",
        "clock-behind",
        "next",
        "next",
    ]


def test_an_explanation_must_name_the_latest_time(log: Path, ecgfl: Ecgfl) -> None:
    details = {
        "event": "clock-behind",
        "time": "2020-01-01T00:00:00+00:00",
        "latest": "2020-01-02T00:00:00+00:00",
        "line": 5,
    }
    log.write_bytes(log.read_bytes() + line_of(AuditLog(log).head().hash, **details))
    refused(ecgfl, log)


def test_restart_says_what_was_lost(log: Path, ecgfl: Ecgfl) -> None:
    last = AuditLog(log).head()
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    damaged = log.read_bytes()
    ran = ecgfl("audit", "restart", "--reason", "the disk\nfailed", "--json")
    assert ran.code == 0
    assert Path(ran.json["kept"]).read_bytes() == damaged
    (entry,) = AuditLog(log).entries()
    assert (entry["event"], entry["reason"]) == ("audit-restarted", "the disk failed")
    assert entry["last_known"] == {"lines": 4, "hash": last.hash}
    assert entry["readable"]["lines"] == 2
    AuditLog(log).append("next")
    assert ecgfl("audit", "verify", "--json").json["lines"] == 2
    assert "restarted" in ecgfl("audit", "verify", "--head", last.hash).err


def test_restart_leaves_a_whole_log_alone(log: Path, ecgfl: Ecgfl) -> None:
    before = log.read_bytes()
    assert ecgfl("audit", "restart", "--reason", "test").code == 2
    assert log.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="On Windows, few users may create links")
@pytest.mark.parametrize("name", ["audit.jsonl", "audit.head"])
def test_refuses_a_link(log: Path, ecgfl: Ecgfl, name: str, tmp_path: Path) -> None:
    path = log.with_name(name)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    ran = ecgfl("audit", "verify")
    assert (ran.code, "symbolic link" in ran.err) == (3, True)


def test_a_long_detail_is_cut(site: Path) -> None:
    AuditLog(site / "audit.jsonl").append("refused", reason="x" * 10**6)
    assert len(AuditLog(site / "audit.jsonl").entries()[0]["reason"]) < 5000


@pytest.mark.parametrize(
    "details",
    [
        {"reason": "\N{GRINNING FACE}" * 10_000, "problem": "\u00e4" * 10_000},
        {
            "policy": {"coordinators": ["\N{GRINNING FACE}" * 64] * 100},
            "changed": {"coordinators": [[], ["x" * 64] * 100]},
        },
        {"files": ["x" * 60] * 5000},
        {"counts": {"x" * 60 + str(number): number for number in range(5000)}},
    ],
)
def test_a_line_is_never_too_long(site: Path, ecgfl: Ecgfl, details: dict[str, Any]) -> None:
    AuditLog(site / "audit.jsonl").append("refused", run="r1", **details)
    (entry,) = AuditLog(site / "audit.jsonl").entries()
    assert entry["run"] == "r1"
    assert set(details) < set(entry)
    assert ecgfl("audit", "verify").code == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [((), "`ecgfl audit restart"), (("coordinator",), "`ecgfl coordinator audit restart")],
)
def test_names_the_command_that_restarts_this_log(
    tmp_path: Path, ecgfl: Ecgfl, command: tuple[str, ...], said: str
) -> None:
    home = tmp_path / "coordinator"  # a site's home with this name, too
    assert ecgfl("--home", home, "init", "--site", "alice").code == 0
    assert ecgfl("--home", home, "coordinator", "init", "--name", "localhost").code == 0
    for log in (home / "audit.jsonl", home / "coordinator" / "audit.jsonl"):
        log.write_bytes(b"[]\n")
    ran = ecgfl("--home", home, *command, "audit", "verify")
    assert (ran.code, said in ran.err) == (3, True)


def test_the_head_of_an_empty_log_is_in_every_later_one(site: Path, ecgfl: Ecgfl) -> None:
    noted = head(ecgfl)
    AuditLog(site / "audit.jsonl").append("first")
    assert ecgfl("audit", "verify", "--head", noted).code == 0


@pytest.mark.parametrize("noted", ["", "abc", "0" * 63, "G" * 64])
def test_a_head_that_is_none_is_a_usage_error(log: Path, ecgfl: Ecgfl, noted: str) -> None:  # noqa: ARG001
    assert ecgfl("audit", "verify", "--head", noted).code == 2


def shown(ecgfl: Ecgfl, *arguments: object) -> list[str]:
    return [
        entry["event"] for entry in ecgfl("audit", "show", "--json", *arguments).json["entries"]
    ]


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


@pytest.mark.parametrize("since", ["999999999d", "9" * 30 + "d", "9" * 400])
def test_show_since_before_the_calendar(log: Path, ecgfl: Ecgfl, since: str) -> None:  # noqa: ARG001
    assert ecgfl("audit", "show", "--since", since).code == 2


@pytest.mark.parametrize(
    ("since", "number"), [("0001-01-01T00:00:00+23:00", 4), ("9999-12-31T23:59:59-23:00", 0)]
)
def test_show_since_the_edge_of_the_calendar(
    log: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    since: str,
    number: int,
) -> None:
    assert len(shown(ecgfl, "--since", since)) == number
