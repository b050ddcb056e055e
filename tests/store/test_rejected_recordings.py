"""A recording with an error is kept out of training and listed with the reason and the fix."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]


def flat(recording: Recording) -> Recording:
    leads = tuple(
        replace(lead, samples=np.full(recording.length, 0.25, dtype=np.float32))
        for lead in recording.leads
    )
    return replace(recording, leads=leads)


def microvolts_called_millivolts(recording: Recording) -> Recording:
    return replace(
        recording,
        leads=tuple(
            replace(lead, samples=lead.samples * 1000, step_mv=lead.step_mv * 1000)
            for lead in recording.leads
        ),
    )


def labels_of_another(recording: Recording) -> Recording:
    return replace(recording, labels=synthesise(99, 60, 250).labels)


@pytest.mark.parametrize(
    ("spoil", "fix"),
    [
        (flat, "Check that the recorder"),
        (microvolts_called_millivolts, "--units uV"),
        (labels_of_another, "label"),
    ],
)
def test_a_rejected_recording_is_kept_out_and_explained(
    site: Path,
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
    spoil: Callable[[Recording], Recording],
    fix: str,
) -> None:
    good = export(synthesise(1, 60, 250, pvc_share=0.15))
    bad = export(spoil(synthesise(2, 60, 250, pvc_share=0.15)))
    ran = ecgfl("ingest", good, bad, "--json")
    assert ran.code == 0
    assert sorted(result["status"] for result in ran.json["recordings"]) == ["rejected", "usable"]
    by_status = {record["status"]: record for record in listed()}
    assert fix in by_status["rejected"]["reason"]
    assert by_status["usable"]["reason"] == ""
    assert by_status["rejected"]["reason"][:40] in ecgfl("dataset", "list").out
    segmented = ecgfl("segment", "--json").json["records"]
    assert [record["record"] for record in segmented] == [by_status["usable"]["record"]]
    assert len(list((site / "beats").rglob("*.safetensors"))) == 1


def test_a_rejected_recording_shows_all_its_findings(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
) -> None:
    ecgfl("ingest", export(flat(synthesise(2, 60, 250))))
    (record,) = listed()
    findings = ecgfl("dataset", "show", record["record"], "--json").json["findings"]
    assert "flat-lead" in {
        finding["code"] for finding in findings if finding["severity"] == "error"
    }
    assert "flat-lead" in ecgfl("dataset", "show", record["record"]).out


def test_ingesting_it_with_the_right_unit_makes_it_usable(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    tmp_path: Path,
    listed: Any,
) -> None:
    recording = synthesise(2, 60, 250, pvc_share=0.15)
    path = tmp_path / "counts.csv"
    lines = [
        f"{number / 250:.3f},{value * 1000:.1f}"
        for number, value in enumerate(recording.leads[0].samples)
    ]
    path.write_text("\n".join(["time_s,MLII", *lines]))
    (tmp_path / "counts.labels.csv").write_text(
        "sample,symbol\n" + "".join(f"{at},{what}\n" for at, what in recording.labels or ())
    )
    ecgfl("ingest", path, "--units", "mV")
    assert [record["status"] for record in listed()] == ["rejected"]
    ecgfl("ingest", path, "--units", "uV")
    assert "usable" in [record["status"] for record in listed()]


@pytest.mark.parametrize("fs", [1, 10, 50, 60])
def test_a_trend_that_is_no_ecg_stops_nothing(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    listed: Any,
    fs: int,
) -> None:
    path = tmp_path / "a-trend.csv"
    values = np.random.default_rng(0).normal(0, 0.3, 60 * fs)
    path.write_text("\n".join([f"# fs_hz: {fs}", "II", *(f"{value:.3f}" for value in values)]))
    ran = ecgfl("ingest", path, export(1), "--units", "mV")
    assert ran.code in (0, 3)
    assert "usable" in [record["status"] for record in listed()]


@pytest.mark.parametrize("seconds", [0.02, 0.5, 3])
def test_a_recording_that_is_too_short_is_rejected(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
    seconds: float,
) -> None:
    whole = synthesise(1, 20, 250)
    leads = tuple(
        replace(lead, samples=lead.samples[: round(seconds * 250)]) for lead in whole.leads
    )
    assert ecgfl("ingest", export(replace(whole, leads=leads, labels=None), "csv")).code == 0
    assert [record["status"] for record in listed()] == ["rejected"]
