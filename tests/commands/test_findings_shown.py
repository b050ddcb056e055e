"""What a person reads about findings: a summary, a table worst first, and what to do, each once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]


def flat(recording: Recording, *leads: int) -> Recording:
    return replace(
        recording,
        leads=tuple(
            replace(lead, samples=np.zeros_like(lead.samples)) if place in leads else lead
            for place, lead in enumerate(recording.leads)
        ),
    )


@pytest.fixture
def three(export: Any) -> list[Any]:
    """A clean recording, one with a warning, one with errors."""
    made = [
        synthesise(seed, 60, 250, name=name)
        for seed, name in enumerate(("clean", "onelead", "nolead"))
    ]
    return [export(each) for each in (made[0], flat(made[1], 1), flat(made[2], 0, 1))]


def rows(ran: Any, *words: str) -> list[str]:
    return [
        line
        for line in ran.out.splitlines()
        if line.startswith("\u2502") and all(word in line for word in words)
    ]


@pytest.mark.parametrize("verb", ["validate", "ingest"])
@pytest.mark.usefixtures("site")
def test_summary_counts_findings_with_the_worst_first(
    verb: str, ecgfl: Ecgfl, three: list[Any]
) -> None:
    ran = ecgfl(verb, *three)
    lines = ran.out.splitlines()
    assert lines[0].startswith("Checked 3: 2 usable, 1 rejected; ")
    (summary_error,) = rows(ran, "error", "flat-lead", " 1 ")[:1]
    (summary_warning,) = rows(ran, "warning", "flat-lead", " 1 ")[:1]
    assert lines.index(summary_error) < lines.index(summary_warning)
    (row_error,) = rows(ran, "error", "flat-lead", "nolead")
    (row_warning,) = rows(ran, "warning", "flat-lead", "onelead", "V1")
    assert lines.index(row_error) < lines.index(row_warning)
    assert "0.5" in row_error
    assert lines.index(row_warning) < next(
        place for place, line in enumerate(lines) if line.startswith("flat-lead: ")
    )


def test_a_fix_is_said_once_however_many_recordings_need_it(ecgfl: Ecgfl, export: Any) -> None:
    paths = [export(flat(synthesise(seed, 60, 250, name=f"r{seed}"), 1)) for seed in range(3)]
    ran = ecgfl("validate", *paths)
    assert len(rows(ran, "flat-lead", "V1")) == 3
    assert ran.out.count("look at the electrode and cable") == 1


def test_what_is_only_worth_knowing_is_in_the_json_alone(ecgfl: Ecgfl, export: Any) -> None:
    path = export(replace(synthesise(0, 60, 250), labels=None))
    assert "no-labels" not in ecgfl("validate", path).out
    (findings,) = ecgfl("validate", path, "--json").json["findings"].values()
    assert [each["code"] for each in findings] == ["no-labels"]


def test_a_recording_without_labels_is_called_unlabelled(ecgfl: Ecgfl, export: Any) -> None:
    path = export(replace(synthesise(0, 60, 250), labels=None))
    ran = ecgfl("validate", path)
    assert ran.code == 0
    assert ran.out.startswith("Checked 1: 0 usable, 1 unlabelled, 0 rejected; ")
    found = ecgfl("validate", path, "--json").json
    assert (found["usable"], found["unlabelled"], found["rejected"]) == ([], [str(path)], [])


@pytest.mark.usefixtures("site")
def test_dataset_show_has_also_what_is_only_worth_knowing(ecgfl: Ecgfl, export: Any) -> None:
    (record,) = ecgfl(
        "ingest", export(replace(synthesise(0, 60, 250), labels=None)), "--json"
    ).json["recordings"]
    assert "no-labels" in ecgfl("dataset", "show", record["record"]).out
