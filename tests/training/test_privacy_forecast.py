"""What a cohort has spent and when its budget ends, as a table, as JSON and as a page."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ecgfl_cli.site import audit, audit_lines
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.ledger.accounting import Mechanism, epsilon_of
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.forecast import history_of, pace_of, rounds_within
from ecgfl_cli.training.ledger.ledger import PrivacyLedger

Ecgfl = Callable[..., Any]
PRIVACY = PrivacyPolicy(epsilon=8.0, delta=1e-3, noise_multiplier=6.0, sampling=1.0, steps=2)
ROUND = mechanism_of(PRIVACY)
DAY = timedelta(days=1)
SETTINGS = """\
[policy.dp]
epsilon = 8.0
delta = 1e-3
noise_multiplier = 6.0
sampling = 1.0
steps = 2
"""


@pytest.fixture
def site(tmp_path: Path, ecgfl: Ecgfl) -> Home:
    home = Home(tmp_path / "site")
    assert ecgfl("--home", home.root, "init", "--site", "st-mary").code == 0
    with home.settings.open("a") as file:
        file.write(SETTINGS)
    return home


def train(
    home: Home, patients: str, days_ago: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reserve rounds in the past."""
    now = datetime.now(UTC)
    for number, days in enumerate(days_ago):
        with monkeypatch.context() as patched:
            for module in (audit, audit_lines):
                patched.setattr(module, "log_time", lambda then=now - days * DAY: then)
            PrivacyLedger(home).reserve(
                PRIVACY, ROUND, {patients: ()}, f"{patients}-{number}", "r1", number
            )


def test_the_pace_is_over_the_last_rounds_until_now() -> None:
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert pace_of([], now) is None
    assert pace_of([now - 0.9 * DAY] * 5, now) is None
    assert pace_of([now - 10 * DAY] * 5, now) == pytest.approx(0.5)
    assert pace_of([now - 400 * DAY] * 300 + [now - 20 * DAY] * 100, now) == pytest.approx(5)


def test_the_rounds_left_are_those_that_the_budget_pays_for() -> None:
    done = [ROUND] * 7
    left = rounds_within(PRIVACY, done)
    assert epsilon_of([*done, *[ROUND] * left], PRIVACY.delta) <= PRIVACY.epsilon
    assert epsilon_of([*done, *[ROUND] * (left + 1)], PRIVACY.delta) > PRIVACY.epsilon
    costly = Mechanism(noise_multiplier=0.2, sampling=1.0, steps=2)
    assert rounds_within(PRIVACY, [costly]) == 0


def test_table_json_and_page_show_the_same_figures(
    site: Home, tmp_path: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, "first", [12, 11.9, 8, 4], monkeypatch)
    train(site, "second", [0.5], monkeypatch)
    page = tmp_path / "budget.html"
    shown = ecgfl("--home", site.root, "privacy", "--out", page)
    assert shown.code == 0, shown.err
    first, second = ecgfl("--home", site.root, "--json", "privacy").json["cohorts"]
    assert first["spent"] == pytest.approx(epsilon_of([ROUND] * 4, PRIVACY.delta))
    assert (first["pace"], first["pace_rounds"]) == (pytest.approx(4 / 12, rel=0.01), 4)
    days = first["rounds_left"] / first["pace"]
    expected = datetime.now(UTC) + days * DAY
    assert abs(datetime.fromisoformat(first["spent_on"]).replace(tzinfo=UTC) - expected) < 2 * DAY
    assert (second["pace"], second["spent_on"]) == (None, None)
    table = [
        [cell.strip() for cell in line.strip("│ ").split("│")] for line in shown.out.splitlines()
    ]
    cells = [
        re.findall(r"<td>(.*?)</td>", row)
        for row in unescape(page.read_text()).split("<tr>")
        if row.count("<td>") == 8
    ]
    history = ecgfl("--home", site.root, "--json", "privacy").json["history"]
    for paid in history:
        row = [
            paid["time"][:16].replace("T", " "),
            paid["run"],
            str(paid["round"]),
            str(paid["cohort"]),
            paid["unit"],
            *(f"{paid['mechanism'][name]:g}" for name in ("noise_multiplier", "sampling", "steps")),
        ]
        assert row in table
        assert row in cells
    assert len(history) == 5
    for number, cohort in enumerate((first, second)):
        row = [
            str(cohort["number"]),
            cohort["since"][:10],
            str(cohort["patients"]),
            str(cohort["rounds"]),
            f"{cohort['spent']:.2f}",
            f"{cohort['left']:.2f}",
            str(cohort["rounds_left"]),
            cohort["spent_on"] or "-",
        ]
        assert cells[number] == row
        assert row in table
    text = page.read_text()
    assert f"cohort 1, round 4: {first['spent']:.6g}" in text
    assert f"cohort 2, round 5: {second['spent']:.6g}" in text
    assert "<script" not in text


def test_a_page_is_not_overwritten(site: Home, tmp_path: Path, ecgfl: Ecgfl) -> None:
    page = tmp_path / "budget.html"
    page.write_text("mine")
    assert ecgfl("--home", site.root, "privacy", "--out", page).code == 2
    assert page.read_text() == "mine"
    assert ecgfl("--home", site.root, "privacy", "--out", page, "--force").code == 0
    assert "Privacy budget" in page.read_text()


def test_a_new_ledger_is_begun_as_the_message_says(
    site: Home, tmp_path: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, "first", [3, 2], monkeypatch)
    site.privacy.write_bytes(b"".join(site.privacy.read_bytes().splitlines(keepends=True)[:-1]))
    refused = ecgfl("--home", site.root, "privacy")
    assert refused.code == 3
    assert "`ecgfl privacy --restart REASON`" in refused.problems[0]
    page = tmp_path / "budget.html"
    begun = ecgfl("--home", site.root, "privacy", "--restart", "the disk failed", "--out", page)
    assert begun.code == 0, begun.err
    assert "a new ledger begins" in begun.out
    again = ecgfl("--home", site.root, "privacy", "--restart", "the disk failed")
    assert (again.code, "whole" in again.problems[0]) == (2, True)


def test_a_cohort_of_a_lost_ledger_is_unknown_everywhere(
    site: Home, tmp_path: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, "first", [3, 2], monkeypatch)
    site.privacy.write_bytes(site.privacy.read_bytes().replace(b'"steps":2', b'"steps":1'))
    page = tmp_path / "budget.html"
    shown = ecgfl("--home", site.root, "privacy", "--restart", "edited", "--out", page)
    assert "1 patients have no budget" in shown.out
    assert "unknown" in shown.out
    assert "<td>unknown</td><td>0.00</td><td>0</td>" in page.read_text()
    (cohort,) = ecgfl("--home", site.root, "--json", "privacy").json["cohorts"]
    assert (cohort["spent"], cohort["left"], cohort["rounds_left"]) == (None, 0.0, 0)


def test_a_cohort_of_another_unit_is_unknown(
    site: Home, tmp_path: Path, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, "first", [3, 2], monkeypatch)
    site.settings.write_text(site.settings.read_text() + 'unit = "row"\n')
    shown = ecgfl("--home", site.root, "--json", "privacy", "--out", tmp_path / "page.html")
    (cohort,) = shown.json["cohorts"]
    assert (cohort["rounds"], cohort["spent"], cohort["rounds_left"]) == (2, None, 0)


def test_a_ledger_that_is_known_to_be_old_is_replaced_as_the_document_says(
    site: Home, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(site, "first", [3], monkeypatch)
    backup = {path: path.read_bytes() for path in site.root.glob("*.head")}
    backup |= {path: path.read_bytes() for path in site.root.glob("*.jsonl")}
    train(site, "first", [2], monkeypatch)
    for path, content in backup.items():
        path.write_bytes(content)
    assert ecgfl("--home", site.root, "privacy", "--restart", "old backup").code == 2
    site.privacy.with_suffix(".head").unlink()
    assert ecgfl("--home", site.root, "privacy", "--restart", "old backup").code == 0
    (cohort,) = PrivacyLedger(site).cohorts()
    assert (cohort.is_exhausted, cohort.patients) == (True, {"first"})


def test_a_long_history_is_thinned(site: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    train(site, "first", [float(day) for day in range(9, 0, -1)], monkeypatch)
    (cohort,) = PrivacyLedger(site).cohorts()
    spent = [epsilon_of([ROUND] * count, PRIVACY.delta) for count in range(1, 10)]
    points = history_of(cohort, PRIVACY, 3)
    assert [point.epsilon for point in points] == pytest.approx([spent[2], spent[5], spent[8]])
    assert len(history_of(cohort, PRIVACY, 30)) == 9
