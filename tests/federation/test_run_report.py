"""The report of a run is complete, also after a kill or an error; its page escapes all text."""

import errno
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_rounds import Rounds
from federation_homes import SITES, Homes
from log_lines import Heard
from node_processes import told
from shared_runs import Finished

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.federation.coordinator import json_file
from ecgfl_cli.federation.coordinator.json_file import LARGEST_JSON
from ecgfl_cli.federation.coordinator.killed_runs import close_killed_runs
from ecgfl_cli.federation.coordinator.report_page import page_of
from ecgfl_cli.federation.coordinator.rounds.replies import RoundFailed
from ecgfl_cli.federation.coordinator.runs.dropped import DropCode, Dropped
from ecgfl_cli.federation.coordinator.runs.run_plan import RoundResult, SiteFigures
from ecgfl_cli.federation.coordinator.runs.run_record import LARGEST_REPORT, RunReport, load_report
from ecgfl_cli.models.manifest import Metrics
from ecgfl_cli.models.registry import Registry

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0")
EVIL = "<script>alert(1)</script>&\"'"
FOREIGN = re.compile(
    r"(src|href|action|data|poster)\s*=|url\(|@import|<script|<link|<iframe|<object|<img|https?:",
    re.IGNORECASE,
)


class Page(HTMLParser):
    """tags : every element. text : what a reader sees. unclosed : elements that were not closed."""

    VOID = ("meta", "circle", "line", "polyline")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.unclosed: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.tags.append(tag)
        if tag not in self.VOID:
            self.unclosed.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.unclosed.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def reports(homes: Homes) -> list[RunReport]:
    return [load_report(path) for path in sorted(homes.coordinator_home.reports.glob("*.json"))]


def test_a_run_over_the_network_is_reported(finished: Finished) -> None:
    result, folder = finished.served.result, finished.homes.coordinator_home.reports
    assert result["report"] == str(folder / f"{result['run']}.json")
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{result['run']}.html",
        f"{result['run']}.json",
    ]
    written = json.loads((folder / f"{result['run']}.json").read_text())
    assert (written["schema"], written["run"], written["outcome"]) == (
        "ecgfl.run-report/1",
        result["run"],
        "finished",
    )
    assert written["rounds"] == result["rounds"]
    assert (written["plan"]["rounds"], written["plan"]["strategy"]) == (2, "fedavg")
    assert (written["starts"], written["problem"], written["final"]) == (1, None, result["model"])
    for each in written["rounds"]:
        assert sum(each["examples_by_site"].values()) == each["examples"]
        assert sorted(each["examples_by_site"]) == sorted(SITES)
        assert 0 < each["seconds"] < 120
    page = Page((folder / f"{result['run']}.html").read_text())
    assert page.unclosed == []
    for words in (
        *SITES,
        result["model"],
        "finished",
        *(each["version"] for each in written["rounds"]),
    ):
        assert words in page.text
    assert page.tags.count("svg") == 6


def test_an_error_is_reported_too(homes: Homes) -> None:
    told(homes.coordinator, *SERVE, "--quorum-timeout", "200ms").refused(4)
    (report,) = reports(homes)
    assert (report.outcome, report.rounds) == ("failed", [])
    assert "0 of at least 2 sites connected" in str(report.problem)
    (path,) = homes.coordinator_home.reports.glob("*.html")
    page = Page(path.read_text())
    assert "0 of at least 2 sites connected" in page.text
    assert "No round was finished." in page.text


def played(rounds: Rounds) -> None:
    """A round, of which Bob's reply is bad."""
    rounds.begin()
    rounds.aggregate(rounds.good(1, 1.0), rounds.good(2, np.nan), rounds.good(3, 2.0, 300))


def test_each_round_is_on_the_disk_when_its_model_is(homes: Homes) -> None:
    rounds = Rounds(homes)
    for number in (1, 2):
        played(rounds)
        (report,) = reports(homes)
        assert [each.round for each in report.rounds] == list(range(1, number + 1))
        assert report.outcome == "running"
        last = report.rounds[-1]
        assert (last.examples_by_site, last.dropped) == (
            {"alice": 100, "carol": 300},
            [Dropped("bob", DropCode.INVALID, "weights that are not finite")],
        )


def test_a_killed_runs_report_goes_on(homes: Homes) -> None:
    played(Rounds(homes))
    resumed = Rounds(homes)
    played(resumed)
    (report,) = reports(homes)
    assert [each.round for each in report.rounds] == [1, 2]
    assert report.starts == 2
    assert [each.round for each in resumed.record.rounds] == [2], "what this process did"


class Killed(Exception):
    pass


@pytest.mark.parametrize("model_is_there", [False, True])
def test_kill_around_a_new_model_leaves_each_round_reported_once(
    homes: Homes, model_is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, add = Rounds(homes), Registry.add
    played(rounds)

    def killed(*arguments: object) -> None:
        if model_is_there:
            add(*arguments)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "add", killed)
        with pytest.raises(Killed):
            played(rounds)
    resumed = Rounds(homes)
    played(resumed)
    (report,) = reports(homes)
    assert [each.round for each in report.rounds] == ([1, 2, 3] if model_is_there else [1, 2])
    stored = [entry.manifest.version for entry in resumed.registry.entries()]
    assert [each.version for each in report.rounds] == stored[1:]
    assert all(each.sites == ["alice", "carol"] for each in report.rounds)


def test_model_that_was_not_stored_is_not_a_round_of_the_report(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Rounds(homes)
    played(rounds)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Registry, "add", full)
    with pytest.raises(OSError, match="No space") as failed:
        played(rounds)
    rounds.record.end(failed.value)
    (report,) = reports(homes)
    assert [each.round for each in report.rounds] == [1]
    assert "No space left" in str(report.problem)


def test_the_round_that_failed_tells_whom_it_left_out(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.begin()
    with pytest.raises(RoundFailed) as failed:
        rounds.aggregate(rounds.good(1, 1.0), rounds.good(2, np.nan))
    rounds.record.end(failed.value)
    (report,) = reports(homes)
    assert report.left_out == [
        Dropped("carol", DropCode.NO_ANSWER, "no answer"),
        Dropped("bob", DropCode.INVALID, "weights that are not finite"),
    ]
    assert "bob" in Page(page_of(report)).text
    Rounds(homes).record.save()
    (gone_on,) = reports(homes)
    assert (gone_on.starts, gone_on.left_out) == (2, report.left_out)


def test_a_bug_is_reported_without_its_text(homes: Homes) -> None:
    rounds = Rounds(homes)
    rounds.record.end(ValueError("/home/st-mary/john-doe.edf"))
    assert reports(homes)[0].problem == "a bug: ValueError"


def test_a_broken_report_is_named_before_anything_is_served(homes: Homes) -> None:
    played(Rounds(homes))
    (path,) = homes.coordinator_home.reports.iterdir()
    path.write_text(path.read_text().replace('"starts":', '"stats":'))
    with pytest.raises(UnusableInput, match=path.name):
        Rounds(homes)


def test_a_report_of_an_earlier_version_is_loaded(homes: Homes) -> None:
    """It has no figures of the sites, and its plan no limit of their weights."""
    played(Rounds(homes))
    (path,) = homes.coordinator_home.reports.iterdir()
    report = json.loads(path.read_text())
    del report["plan"]["max_weight_ratio"]
    for each in report["rounds"]:
        del each["by_site"]
    path.write_text(json.dumps(report))
    resumed = Rounds(homes)
    played(resumed)
    (gone_on,) = reports(homes)
    assert [each.by_site.keys() for each in gone_on.rounds] == [set(), {"alice", "carol"}]
    assert "<h2>Figures of each site</h2>" in page_of(gone_on)


def test_each_site_has_its_figures_on_the_page() -> None:
    sites = {
        "alice": SiteFigures(
            train_beats=100, counted_beats=100, update_norm=1.25, weight=0.25, beats=90, pvcs=8
        ),
        "mallory": SiteFigures(
            train_beats=900,
            counted_beats=300,
            weight=0.75,
            pvcs=8,
            true_positives=8,
            false_positives=0,
        ),
    }
    sites["mallory"].sensitivity, sites["mallory"].precision, sites["mallory"].deviates = (
        1.0,
        1.0,
        ["sensitivity"],
    )
    result = RoundResult(3, "m", ["alice", "mallory"], 400, 0.1, by_site=sites)
    html = page_of(report_of([result]))
    assert (
        "<td>3</td><td>alice</td><td>100</td><td>-</td><td>-</td><td>1.250</td><td>25.0</td><td>90</td><td>8</td>"
        in html
    )
    assert "<td>900 (counts as 300)</td>" in html
    assert html.count("<td>100.0 (8 of 8)</td>") == 2
    assert "<td>3</td><td>mallory</td><td>sensitivity 100.0 % (median 100.0 %)</td>" in html


def report_of(rounds: list[RoundResult], **fields: Any) -> RunReport:
    known = {
        "run": "r",
        "architecture": "beatnet",
        "plan": {"rounds": 9},
        "began": "2026-11-25T22:00:00+00:00",
        "final": "m",
    }
    return RunReport.model_validate({**known, "rounds": rounds, **fields})


def test_nothing_that_came_from_elsewhere_is_markup() -> None:
    rounds = [
        RoundResult(
            1,
            EVIL,
            [EVIL],
            5,
            0.1,
            dropped=[Dropped(EVIL, DropCode.INVALID, EVIL)],
            examples_by_site={EVIL: 5},
            began=EVIL,
        )
    ]
    rounds[0].by_site = {EVIL: SiteFigures(loss=0.5, deviates=["loss"])}
    evil = report_of(
        rounds,
        problem=EVIL,
        final=EVIL,
        run=EVIL,
        architecture=EVIL,
        left_out=[Dropped(EVIL, DropCode.INVALID, EVIL)],
        plan={EVIL: EVIL},
    )
    page = Page(html := page_of(evil))
    assert "script" not in page.tags
    assert page.unclosed == []
    assert page.text.count(EVIL) >= 10
    assert not FOREIGN.search(html)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    metrics = Metrics(beats=90, pvcs=9, loss=0.2, sensitivity=0.9, precision=None)
    html = page_of(
        report_of([RoundResult(n, "m", ["a", "b"], 5, 0.1 / n, metrics) for n in range(1, 200)])
    )
    assert not FOREIGN.search(html)
    assert "default-src 'none'" in html


def killed(homes: Homes) -> list[str]:
    """Bring the reports of killed runs to an end, and return what is said about it."""
    heard = Heard()
    close_killed_runs(homes.coordinator_home, homes.registry("coordinator"), "another")
    return heard.lines


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{}", b"{" + b" " * (LARGEST_REPORT + 1)],
    ids=["folder", "empty", "fields", "huge"],
)
def test_a_broken_report_of_an_earlier_run_is_passed_over(
    homes: Homes, content: bytes | None
) -> None:
    played(Rounds(homes))
    path = homes.coordinator_home.reports / "0-broken.json"
    path.mkdir() if content is None else path.write_bytes(content)
    (line,) = killed(homes)
    assert line.startswith("a report of an earlier run is passed over: ")
    assert str(path) in line
    assert len(line) < 1000
    (other,) = (each for each in homes.coordinator_home.reports.glob("*.json") if each != path)
    assert load_report(other).outcome == "interrupted"


def test_a_report_that_cannot_be_read_is_an_input_error(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    played(Rounds(homes))
    (path,) = homes.coordinator_home.reports.glob("*.json")

    def failing(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(json_file, "read_bounded", failing)
    with pytest.raises(UnusableInput, match=r"Input/output error.*Restore it from your backup"):
        load_report(path)


def test_the_report_of_many_sites_and_rounds_can_be_read(homes: Homes, tmp_path: Path) -> None:
    played(Rounds(homes))
    (report,) = reports(homes)
    figures = SiteFigures(
        123_456,
        12_345,
        0.1234567890123,
        0.123456789,
        123_456,
        0.0049,
        12_345,
        1234,
        1200,
        100,
        0.9,
        0.9,
        0.1,
    )
    sites = {f"hospital-{number:03d}-of-a-long-name": figures for number in range(200)}
    report.rounds = [
        RoundResult(number, f"ecgnet-{number:04d}-00000000", list(sites), 4, 0.1, by_site=sites)
        for number in range(1, 201)
    ]
    (tmp_path / "r.json").write_bytes(report.to_bytes())
    assert (tmp_path / "r.json").stat().st_size > LARGEST_JSON
    assert load_report(tmp_path / "r.json").rounds == report.rounds
