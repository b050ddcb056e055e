import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.recording import Gap

from ecgfl_cli.prediction.ectopy import summarise
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.prediction.writers.registry import WRITERS


def prediction(
    record: str = "100",
    symbols: str = "NVNQ",
    *,
    fs: float = 360.0,
    first: int = 90,
    step: int = 300,
) -> Prediction:
    samples = (first + step * np.arange(len(symbols))).astype(np.int64)
    probability = {"N": 0.03125, "V": 0.96875, "Q": np.nan}
    length = 1000 + step * len(symbols)
    return Prediction(
        record=record,
        fs=fs,
        samples=samples,
        symbols=tuple(symbols),
        probabilities=np.asarray([probability[symbol] for symbol in symbols], dtype=np.float32),
        leads=("MLII", "V1"),
        model_version="2026.1",
        model_sha256="ab" * 32,
        gaps=(Gap(length - 50, length),),
        length=length,
        ectopy=summarise(samples, list(symbols), fs, length / fs),
    )


def test_the_formats_have_the_names_of_the_command_line() -> None:
    assert {"wfdb", "csv", "json"} <= set(WRITERS)


@pytest.mark.parametrize(
    ("name", "suffix"), [("wfdb", ".ecgfl"), ("csv", ".ecgfl.csv"), ("json", ".ecgfl.json")]
)
def test_folder_has_only_a_file_named_after_the_record(
    tmp_path: Path, name: str, suffix: str
) -> None:
    for record in ("100", "Müller, Hans 24.12.2025 (2)", "a" * 200, "holter.v2"):
        assert WRITERS[name](prediction(record), tmp_path) == tmp_path / f"{record}{suffix}"
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("name", ["wfdb", "csv", "json"])
def test_writing_again_replaces_the_file_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    first = WRITERS[name](prediction(symbols="NVN"), tmp_path).read_bytes()
    WRITERS[name](prediction(symbols="N" * 500), tmp_path)
    assert WRITERS[name](prediction(symbols="NVN"), tmp_path).read_bytes() == first


@pytest.mark.parametrize("record", ["", ".", "..", "a/b", "a\\b", "C:x", "/etc/passwd", "x\0"])
def test_a_record_cannot_lead_out_of_the_folder(record: str) -> None:
    with pytest.raises(ValueError, match="cannot be used as the name of a file"):
        prediction(record)


def test_wfdb_reads_back_every_beat_at_its_sample_and_rate(tmp_path: Path) -> None:
    # Intervals over 1,023 samples need the format's long form; 86 million samples are a day at
    # 1,000 Hz.
    for step, fs in ((300, 360.0), (1500, 250.0), (21_600_000, 1000.0), (200, 127.5)):
        written = prediction(symbols="NVNQV", step=step, fs=fs)
        WRITERS["wfdb"](written, tmp_path)
        found = wfdb.rdann(str(tmp_path / "100"), "ecgfl")
        assert found.sample.tolist() == written.samples.tolist()
        assert found.symbol == list("NVNQV")
        assert found.fs == fs


def test_a_beat_at_the_very_first_sample_is_kept(tmp_path: Path) -> None:
    WRITERS["wfdb"](prediction(symbols="VN", first=0), tmp_path)
    found = wfdb.rdann(str(tmp_path / "100"), "ecgfl")
    assert (found.sample.tolist(), found.symbol) == ([0, 300], ["V", "N"])


def test_no_beats_give_an_annotation_file_without_annotations(tmp_path: Path) -> None:
    WRITERS["wfdb"](prediction(symbols=""), tmp_path)
    found = wfdb.rdann(str(tmp_path / "100"), "ecgfl")
    assert found.sample.size == 0
    assert (tmp_path / "100.ecgfl").read_bytes() == b"\0\0"


def test_the_beats_of_a_real_record_survive_the_annotation_file(
    tmp_path: Path, real_data: Path
) -> None:
    reference = wfdb.rdann(str(real_data / "mitdb" / "208"), "atr")
    kept = np.isin(reference.symbol, ["N", "V", "Q"])
    samples, symbols = (
        reference.sample[kept].astype(np.int64),
        tuple(np.asarray(reference.symbol)[kept].tolist()),
    )
    ectopy = summarise(samples, symbols, 360.0, 1805.6)
    probabilities = np.full(samples.size, 0.5, dtype=np.float32)
    whole = Prediction(
        "208", 360.0, samples, symbols, probabilities, ("MLII",), "1", "0" * 64, (), 650_000, ectopy
    )
    WRITERS["wfdb"](whole, tmp_path)
    found = wfdb.rdann(str(tmp_path / "208"), "ecgfl")
    assert np.array_equal(found.sample, samples)
    assert tuple(found.symbol) == symbols


def test_csv_has_a_line_for_each_beat(tmp_path: Path) -> None:
    with WRITERS["csv"](prediction(), tmp_path).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["sample", "time_s", "symbol", "class", "probability"],
        ["90", "0.250000", "N", "N", "0.031250"],
        ["390", "1.083333", "V", "V", "0.968750"],
        ["690", "1.916667", "N", "N", "0.031250"],
        ["990", "2.750000", "Q", "Q", ""],
    ]


def test_the_json_says_what_was_found_and_by_which_model(tmp_path: Path) -> None:
    written = prediction("Müller")
    content = json.loads(WRITERS["json"](written, tmp_path).read_text(encoding="utf-8"))
    assert content["schema"] == "ecgfl.prediction/1"
    assert (content["record"], content["fs"], content["leads"]) == ("Müller", 360.0, ["MLII", "V1"])
    assert content["model"] == {"version": "2026.1", "sha256": "ab" * 32}
    assert content["ectopy"] == written.ectopy.as_dict()
    assert content["gaps"] == [{"start": 2150, "stop": 2200}]
    assert content["beats"][1] == {"sample": 390, "symbol": "V", "probability": 0.96875}
    assert content["beats"][3] == {"sample": 990, "symbol": "Q", "probability": None}


def test_the_json_of_no_beats_is_json(tmp_path: Path) -> None:
    content = json.loads(
        WRITERS["json"](prediction(symbols=""), tmp_path).read_text(encoding="utf-8")
    )
    assert content["beats"] == []
    assert content["ectopy"]["burden_percent"] is None


@pytest.mark.parametrize("name", ["wfdb", "csv", "json"])
def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = WRITERS[name](prediction(symbols="N"), tmp_path)
    before = path.read_bytes()

    def full_disk(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        WRITERS[name](prediction(symbols="NVNV"), tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_lists_of_different_length_are_refused() -> None:
    good = prediction()
    with pytest.raises(ValueError, match="3 symbols need as many"):
        Prediction(**{**vars(good), "symbols": good.symbols[:3]})
