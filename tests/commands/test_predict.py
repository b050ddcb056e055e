"""`ecgfl predict`: three outputs that agree, at the input's own rate, and gaps that stay gaps."""

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

pytestmark = pytest.mark.usefixtures("modelled")

Ecgfl = Callable[..., Any]
Beat = tuple[int, str]


@pytest.fixture
def recording() -> Recording:
    return synthesise(70, 120, 250, pvc_share=0.15)


def annotated(folder: Path, record: str = "synthetic-70") -> list[Beat]:
    found = wfdb.rdann(str(folder / record), "ecgfl")
    return list(zip(found.sample.tolist(), found.symbol, strict=True))


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_the_outputs_agree_with_each_other_and_with_the_table(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
    file_format: str,
) -> None:
    out = tmp_path / "out"
    path = export(recording, file_format)
    ran = ecgfl("predict", path, "--out", out, "--json")
    assert ran.code == 0
    assert sorted(file.name for file in out.iterdir()) == [
        f"synthetic-70.ecgfl{suffix}" for suffix in ("", ".csv", ".json", ".origin.json")
    ]
    beats = annotated(out)
    with (out / "synthetic-70.ecgfl.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(int(row["sample"]), row["symbol"]) for row in table] == beats
    summary = json.loads((out / "synthetic-70.ecgfl.json").read_text())
    assert [(beat["sample"], beat["symbol"]) for beat in summary["beats"]] == beats
    (result,) = ran.json["recordings"]
    assert result["ectopy"] == summary["ectopy"]
    symbols = [symbol for _, symbol in beats]
    assert (summary["ectopy"]["beats"], summary["ectopy"]["pvcs"]) == (
        len(beats),
        symbols.count("V"),
    )
    assert summary["ectopy"]["unclassified"] == symbols.count("Q")
    shown = ecgfl("predict", path, "--out", out).out
    (line,) = (line for line in shown.splitlines() if "synthetic-70" in line)
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells[2:4] == [str(len(beats)), str(symbols.count("V"))]
    assert float(cells[4]) == pytest.approx(
        100 * symbols.count("V") / (len(beats) - symbols.count("Q")), abs=0.005
    )


def test_annotations_stand_at_the_inputs_own_rate(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    assert (
        ecgfl(
            "predict", export(recording, "edf"), "--out", tmp_path / "out", "--format", "wfdb"
        ).code
        == 0
    )
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "synthetic-70.ecgfl",
        "synthetic-70.ecgfl.origin.json",
    ]
    assert wfdb.rdann(str(tmp_path / "out" / "synthetic-70"), "ecgfl").fs == 250
    found = np.array([sample for sample, _ in annotated(tmp_path / "out")])
    named = np.array([label.sample for label in recording.labels or ()])
    nearest = np.abs(named[:, None] - found[None, :]).min(axis=1)
    assert (nearest <= 2).mean() > 0.97
    assert (np.diff(found) > 0).all()


def test_the_model_finds_the_pvcs_of_a_patient_it_has_not_seen(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    ecgfl("predict", export(recording), "--out", tmp_path / "out")
    found = dict(annotated(tmp_path / "out"))
    near = {
        label.sample + shift: label.symbol
        for label in recording.labels or ()
        for shift in range(-3, 4)
    }
    agreed = [near.get(sample) == symbol for sample, symbol in found.items() if symbol != "Q"]
    assert np.mean(agreed) > 0.9
    assert "V" in found.values()


def test_gap_has_no_beats_and_its_edges_are_unclassified(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    labels = recording.labels or ()
    start, stop = (
        labels[20].sample + 40,
        labels[26].sample - 30,
    )  # 0.16 s behind an R peak, 0.12 s in front of another
    leads = []
    for lead in recording.leads:
        samples = lead.samples.copy()
        samples[start:stop] = np.nan
        leads.append(replace(lead, samples=samples))
    path = export(replace(recording, leads=tuple(leads)), "csv")
    assert ecgfl("predict", path, "--out", tmp_path / "out").code == 0
    beats = annotated(tmp_path / "out")
    assert not [sample for sample, _ in beats if start <= sample < stop]
    before, after = round(90 / 360 * 250), round(95 / 360 * 250)
    touching = {
        sample: symbol
        for sample, symbol in beats
        if sample + after > start and sample - before < stop
    }
    assert set(touching.values()) == {"Q"}
    assert len(touching) >= 2
    summary = json.loads((tmp_path / "out" / "synthetic-70.ecgfl.json").read_text())
    assert summary["gaps"] == [{"start": start, "stop": stop}]
    assert summary["ectopy"]["analysed_seconds"] == pytest.approx(120 - (stop - start) / 250)


def test_a_named_lead_is_the_one_that_is_read(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    ecgfl("predict", export(recording), "--out", tmp_path / "out", "--lead", "V1")
    assert json.loads((tmp_path / "out" / "synthetic-70.ecgfl.json").read_text())["leads"] == ["V1"]


def test_predicting_again_gives_the_same_bytes(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
    files_of: Any,
) -> None:
    path, out = export(recording), tmp_path / "out"
    ecgfl("predict", path, "--out", out)
    before = files_of(out)
    ecgfl("predict", path, "--out", out)
    assert files_of(out) == before


def test_recording_without_beats_exits_3_with_empty_annotations(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    silent = tuple(
        replace(lead, samples=np.full(recording.length, 0.25, dtype=np.float32))
        for lead in recording.leads
    )
    ran = ecgfl(
        "predict",
        export(replace(recording, leads=silent, labels=None)),
        "--out",
        tmp_path / "out",
        "--json",
    )
    assert (ran.code, ran.json["status"]) == (3, "error")
    assert ran.json["recordings"][0]["ectopy"]["beats"] == 0
    (problem,) = ran.problems
    assert "synthetic-70" in problem
    assert "too-few-beats" in problem
    assert (tmp_path / "out" / "synthetic-70.ecgfl").read_bytes() == b"\0\0"


def test_two_recordings_of_one_name_do_not_overwrite_each_other(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
) -> None:
    """Recorders number from 1 in every ward's folder."""
    for ward, seed in (("a", 71), ("b", 72)):
        path = export(synthesise(seed, 60, 250, name="0001"))
        (tmp_path / "wards" / ward).mkdir(parents=True)
        for file in path.parent.iterdir():
            file.rename(tmp_path / "wards" / ward / file.name)
    ran = ecgfl("predict", tmp_path / "wards", "--out", tmp_path / "out", "--format", "wfdb")
    assert ran.code != 0 or len(list((tmp_path / "out").rglob("*.ecgfl"))) == 2


def test_a_good_recording_is_written_though_another_is_bad(
    ecgfl: Ecgfl,
    export: Any,
    tmp_path: Path,
    recording: Recording,
) -> None:
    ran = ecgfl("predict", tmp_path / "missing.edf", export(recording), "--out", tmp_path / "out")
    assert ran.code == 3
    assert len(ran.problems) == 1
    assert (tmp_path / "out" / "synthetic-70.ecgfl").is_file()


def test_nothing_of_a_prediction_enters_the_home(
    modelled: Path, ecgfl: Ecgfl, export: Any, tmp_path: Path, recording: Recording, files_of: Any
) -> None:
    before = files_of(modelled)
    ecgfl("predict", export(recording), "--out", tmp_path / "out")
    assert files_of(modelled) == before
