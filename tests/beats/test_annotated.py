"""Only the annotated part of a recording is used for training and evaluation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.beats.annotated import annotated_part, annotated_spans
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Severity

FS = 250
MINUTE = 60 * FS


@pytest.fixture(scope="module")
def whole() -> Recording:
    """10 minutes with a label at every beat."""
    return synthesise(5, 600, FS, pvc_share=0.15)


def _beats(recording: Recording) -> Any:
    return np.array([label.sample for label in recording.labels or ()], dtype=np.int64)


def _only(recording: Recording, keep: Callable[[BeatLabel], bool]) -> Recording:
    return replace(
        recording, labels=tuple(label for label in recording.labels or () if keep(label))
    )


def test_all_of_a_recording(whole: Recording) -> None:
    assert annotated_spans(whole, _beats(whole)).tolist() == [[0, whole.length]]
    assert annotated_part(whole, _beats(whole)) is whole


def test_begin_and_end(whole: Recording) -> None:
    part = _only(whole, lambda label: not 2 * MINUTE < label.sample < 7 * MINUTE)
    (start, stop), (again, end) = annotated_spans(part, _beats(whole)).tolist()
    assert (start, end) == (0, whole.length)
    assert (stop, again) == (
        pytest.approx(2 * MINUTE, abs=2 * FS),
        pytest.approx(7 * MINUTE, abs=2 * FS),
    )


def test_middle(whole: Recording) -> None:
    part = _only(whole, lambda label: 4 * MINUTE < label.sample < 6 * MINUTE)
    ((start, stop),) = annotated_spans(part, _beats(whole)).tolist()
    assert (start, stop) == (
        pytest.approx(4 * MINUTE, abs=2 * FS),
        pytest.approx(6 * MINUTE, abs=2 * FS),
    )


def test_skipped_beats_do_not_split(whole: Recording) -> None:
    noisy = _only(
        whole,
        lambda label: not 5 * MINUTE < label.sample < 5 * MINUTE + 20 * FS and label.sample % 5 > 0,
    )
    assert annotated_spans(noisy, _beats(whole)).tolist() == [[0, whole.length]]


def test_a_gap_without_beats_does_not_split(whole: Recording) -> None:
    part = _only(whole, lambda label: not 2 * MINUTE < label.sample < 7 * MINUTE)
    assert annotated_spans(part, _beats(part)).tolist() == [[0, whole.length]]


@pytest.mark.parametrize("marks", ["[]", "~~"])
def test_marked_episodes_do_not_split(whole: Recording, marks: str) -> None:
    part = _only(whole, lambda label: not 2 * MINUTE < label.sample < 7 * MINUTE)
    ends = (BeatLabel(2 * MINUTE + 1, marks[0]), BeatLabel(7 * MINUTE - 1, marks[1]))
    assert annotated_spans(
        replace(part, labels=(*(part.labels or ()), *ends)), _beats(whole)
    ).tolist() == [[0, whole.length]]


def test_remarks_are_no_part(whole: Recording) -> None:
    notes = (
        BeatLabel(5 * MINUTE, "N"),
        BeatLabel(8 * MINUTE, "V"),
        BeatLabel(whole.length + 5, "N"),
    )
    noted = replace(whole, labels=notes)
    assert annotated_spans(noted, _beats(whole)).size == 0
    assert annotated_part(noted, _beats(whole)).labels == ()
    found = {finding.code: finding for finding in check(noted, _beats(whole))}
    assert found["labels-partial"].severity is Severity.WARNING
    assert "the 2 beat labels are scattered among" in found["labels-partial"].message


def test_finding_names_the_part(whole: Recording) -> None:
    part = _only(whole, lambda label: label.sample < 2 * MINUTE)
    (found,) = [
        finding for finding in check(part, _beats(whole)) if finding.code == "labels-partial"
    ]
    assert "of 600 s (0 to 1" in found.message
    assert (found.start_s, found.stop_s) == (0, pytest.approx(120, abs=2))


def test_finding_where_only_pvcs_are_labelled(whole: Recording) -> None:
    pvcs = _only(whole, lambda label: label.symbol == "V")
    assert "labels-partial" in [finding.code for finding in check(pvcs, _beats(whole))]
    assert "labels-partial" not in [finding.code for finding in check(whole, _beats(whole))]


def test_ingest_and_segment_keep_to_the_part(
    site: Path,  # noqa: ARG001
    ecgfl: Any,
    export: Any,
    whole: Recording,
) -> None:
    part = _only(whole, lambda label: label.sample < 3 * MINUTE)
    noted = replace(part, labels=(*(part.labels or ()), BeatLabel(8 * MINUTE, "N")))
    alone = replace(synthesise(6, 120, FS), labels=(BeatLabel(60 * FS, "N"), BeatLabel(10**6, "V")))
    outside = replace(synthesise(7, 120, FS), labels=(BeatLabel(10**6, "V"),))
    ran = ecgfl("ingest", *map(export, (noted, alone, outside)), "--json")
    assert ran.code == 0
    assert [each["status"] for each in ran.json["recordings"]] == [
        "usable",
        "unlabelled",
        "unlabelled",
    ]
    listed = ecgfl("dataset", "show", ran.json["recordings"][0]["record"], "--json").json["record"]
    assert sum(listed["counts"].values()) == len(part.labels or ())
    cut = ecgfl("segment", "--json")
    assert cut.code == 0
    (record,) = cut.json["records"]
    assert record["beats"] == listed["counts"] | {"S": 0, "F": 0, "Q": 0}


@pytest.mark.usefixtures("modelled")
def test_evaluate_keeps_to_the_part(ecgfl: Any, export: Any, whole: Recording) -> None:
    path = export(_only(whole, lambda label: label.sample < 7 * MINUTE))
    ran = ecgfl("evaluate", path, "--json")
    assert ran.code == 0
    assert ran.json["gross"]["hours"] == pytest.approx(120 / 3600, rel=0.03)
    assert ran.json["gross"]["qrs_fp"] <= 1
    assert list(ran.json["partly_labelled"]) == [path.stem]
    assert "only that part is evaluated" in ran.err
    early = export(replace(_only(whole, lambda label: label.sample < 3 * MINUTE), name="early"))
    refused = ecgfl("evaluate", early, "--json")
    assert refused.code == 3
    assert "its labels cover only the first 1" in refused.json["failed"][0]["error"]
