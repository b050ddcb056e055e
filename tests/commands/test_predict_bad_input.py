"""`ecgfl predict` on bad recordings: a result with findings, or one line with the reason."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.recording import Recording

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
Change = Callable[[np.ndarray], np.ndarray]
FS = 250


def changed(change: Change, leads: tuple[int, ...] = (0, 1), seconds: float = 40) -> Recording:
    """A synthetic recording with `change` applied to the samples of some of its leads."""
    recording = synthesise(70, seconds, FS, pvc_share=0.15)
    made = [
        replace(lead, samples=np.asarray(change(lead.samples.copy()), dtype=np.float32))
        if place in leads
        else lead
        for place, lead in enumerate(recording.leads)
    ]
    return replace(recording, leads=tuple(made), labels=None)


def lasting(samples: int) -> Recording:
    """Those first samples of a recording."""
    recording = changed(lambda signal: signal)
    leads = tuple(replace(lead, samples=lead.samples[:samples]) for lead in recording.leads)
    return replace(recording, leads=leads)


def put(value: float, places: slice = slice(None)) -> Change:
    def change(samples: np.ndarray) -> np.ndarray:
        samples[places] = value
        return samples

    return change


def one_lead(recording: Recording) -> Recording:
    return replace(recording, leads=recording.leads[:1])


def gaps(samples: np.ndarray) -> np.ndarray:
    samples[:70] = samples[2000:2001] = samples[5000:5700] = samples[-120:] = np.nan
    return samples


# name: the recording, what the finding of the highest severity is about ("" for none), and whether
# there is any beat.
RECORDINGS: dict[str, tuple[Callable[[], Recording], str, bool]] = {
    "six seconds": (lambda: lasting(6 * FS), "too-short", True),
    "ten seconds": (lambda: lasting(10 * FS), "", True),
    "one flat lead of two": (lambda: changed(put(0.0), (0,)), "flat-lead", True),
    "other lead flat": (lambda: changed(put(1.0), (1,)), "flat-lead", True),
    "one absent lead of two": (lambda: changed(put(np.nan), (0,)), "no-signal", True),
    "only lead flat": (lambda: one_lead(changed(put(0.25))), "flat-lead", False),
    "zeros": (lambda: changed(put(0.0)), "flat-lead", False),
    "constant": (lambda: changed(put(3.3)), "flat-lead", False),
    "gaps": (lambda: changed(gaps), "", True),
    "just under a second": (lambda: lasting(FS - 1), "too-short", False),
    "a second": (lambda: lasting(FS), "too-short", True),
}

WITH_MISSING_SAMPLES = {"gaps", "one absent lead of two"}
"""EDF+C has no way to say so."""


def strict_json(text: str) -> Any:
    """Other programs' parsers know no NaN."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        (name, file_format)
        for name in RECORDINGS
        for file_format in ("wfdb", "edf", "csv")
        if not (file_format == "edf" and name in WITH_MISSING_SAMPLES)
    ],
)
def test_predicts_what_is_readable_and_reports_the_rest(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    name: str,
    file_format: str,
) -> None:
    make, finding, has_beats = RECORDINGS[name]
    path, out = export(make(), file_format), tmp_path / "out"
    ran = ecgfl("predict", path, "--out", out, "--json")
    (result,) = strict_json(ran.out)["recordings"]
    has_error = any(each["severity"] == "error" for each in result["findings"])
    assert (ran.code, len(ran.problems)) == ((3, 1) if has_error else (0, 0))
    assert finding in {each["code"] for each in result["findings"]} or (
        not finding and not result["findings"]
    )
    assert (result["ectopy"]["beats"] > 0) == has_beats
    with (out / "synthetic-70.ecgfl.csv").open(newline="") as file:
        table = [(int(row["sample"]), row["symbol"]) for row in csv.DictReader(file)]
    annotations = wfdb.rdann(str(out / "synthetic-70"), "ecgfl")
    assert table == list(zip(annotations.sample.tolist(), annotations.symbol, strict=True))
    summary = strict_json((out / "synthetic-70.ecgfl.json").read_text())
    assert table == [(beat["sample"], beat["symbol"]) for beat in summary["beats"]]
    shown = ecgfl("predict", path, "--out", out)
    assert shown.code == ran.code
    lines = shown.out.splitlines()
    assert len([line for line in lines if "synthetic-70" in line and str(path) not in line]) == 1
    rows = [line for line in lines if str(path) in line and line.startswith("\u2502")]
    assert len(rows) == len(result["findings"])


@pytest.mark.parametrize("file_format", ["wfdb", "csv"])
def test_recording_without_values_has_no_beats(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    file_format: str,
) -> None:
    ran = ecgfl(
        "predict", export(changed(put(np.nan)), file_format), "--out", tmp_path / "out", "--json"
    )
    assert ran.code == 3
    (result,) = strict_json(ran.out)["recordings"]
    assert result["ectopy"]["beats"] == 0
    assert result["ectopy"]["analysed_seconds"] == 0
    assert "no-signal" in {each["code"] for each in result["findings"]}


@pytest.mark.parametrize(("file_format", "code"), [("wfdb", 3), ("csv", 3)])
def test_single_sample_is_a_recording_if_the_rate_is_known(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    file_format: str,
    code: int,
) -> None:
    ran = ecgfl("predict", export(lasting(1), file_format), "--out", tmp_path / "out", "--json")
    assert ran.code == code
    assert len(ran.problems) == (code == 3)
    strict_json(ran.out)


def written(folder: Path, samples: np.ndarray, fs: float = FS) -> Path:
    """A CSV as other programs write it: no rounding to the steps of a converter."""
    folder.mkdir(exist_ok=True)
    lines = [f"# fs_hz: {fs:g}", "II_mV", *(f"{value:.9g}" for value in samples)]
    (folder / "plain.csv").write_text("\n".join(lines) + "\n")
    return folder / "plain.csv"


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity"])
def test_an_infinite_value_is_refused_with_its_line(
    ecgfl: Ecgfl, tmp_path: Path, value: str
) -> None:
    path = written(tmp_path / "in", changed(lambda samples: samples).leads[0].samples)
    lines = path.read_text().splitlines()
    lines[4000] = value
    path.write_text("\n".join(lines))
    ran = ecgfl("predict", path, "--out", tmp_path / "out")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert "plain.csv" in ran.problems[0]
    assert "line 4001" in ran.problems[0]
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("spike", [1e6, -1e6, 1e8])
def test_huge_spikes_affect_only_adjacent_beats(
    ecgfl: Ecgfl,
    tmp_path: Path,
    spike: float,
) -> None:
    clean = changed(lambda samples: samples).leads[0].samples
    spiked = clean.copy()
    spiked[600::2500] = spike
    found = []
    for samples in (clean, spiked):
        ran = ecgfl(
            "predict", written(tmp_path / "in", samples), "--out", tmp_path / "out", "--json"
        )
        (result,) = strict_json(ran.out)["recordings"]
        assert ran.code == (
            3 if "error" in {each["severity"] for each in result["findings"]} else 0
        )
        beats = strict_json((tmp_path / "out" / "plain.ecgfl.json").read_text())["beats"]
        found.append({beat["sample"]: beat["symbol"] for beat in beats})
    whole, kept = found
    far = [
        sample
        for sample in whole
        if min(abs(sample - place) for place in range(600, 10_000, 2500)) > FS
    ]
    assert len(far) > 30
    assert {sample: kept.get(sample) for sample in far} == {sample: whole[sample] for sample in far}
    assert set(kept.values()) <= {"N", "V", "Q"}
    codes = {each["code"] for each in ran.json["recordings"][0]["findings"]}
    assert ("missing-samples" if spike == -1e6 else "implausible-swings") in codes, (
        "-1000000 is a code for a missing sample"
    )


@pytest.mark.parametrize("fs", [1, 10, 29.9])
def test_a_rate_at_which_there_is_no_qrs_is_refused(
    ecgfl: Ecgfl, tmp_path: Path, fs: float
) -> None:
    path = written(tmp_path / "in", np.sin(np.arange(400)), fs)
    ran = ecgfl("predict", path, "--out", tmp_path / "out")
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert "30 Hz" in ran.problems[0]
    assert not list((tmp_path / "out").glob("*"))


def test_bad_recordings_among_good_ones_stop_nothing(
    ecgfl: Ecgfl, export: Any, tmp_path: Path
) -> None:
    good = export(synthesise(3, 40, FS))
    infinite = written(tmp_path / "in", np.sin(np.arange(5000)))
    infinite.write_text(infinite.read_text() + "inf\n")
    flat = export(changed(put(0.0)), "edf")
    ran = ecgfl("predict", infinite, flat, good, "--out", tmp_path / "out", "--json")
    assert ran.code == 3
    assert len(ran.problems) == 2
    results = strict_json(ran.out)["recordings"]
    assert ["error" in each for each in results] == [True, False, False]
    assert {path.name for path in (tmp_path / "out").glob("*.ecgfl.json")} == {
        "synthetic-3.ecgfl.json",
        "synthetic-70.ecgfl.json",
    }
