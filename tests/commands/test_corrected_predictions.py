"""Corrected predictions become labels; uncorrected ones do not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.wfdb.writer import write_annotations

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]


@pytest.fixture
def predicted(site: Path, ecgfl: Ecgfl, export: Any) -> Callable[[str], Path]:  # noqa: ARG001
    """predicted(format): a recording without labels, and beside it what `predict` wrote."""

    def predicted(file_format: str = "wfdb", *, fs: float = 250, seconds: float = 60) -> Path:
        path: Path = export(71, file_format, fs=fs, seconds=seconds)
        for beside in (*path.parent.glob("*.atr"), *path.parent.glob("*.labels.csv")):
            beside.unlink()
        assert ecgfl("predict", path, "--out", path.parent).code == 0
        return path

    return predicted


def table_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}.ecgfl.csv")


def correct(table: Path, number: int = 20) -> None:
    """Make V of some N in the column `symbol`, as in a spreadsheet."""
    lines = table.read_text().splitlines()
    for place in range(5, 5 + number):
        sample, time, symbol, *rest = lines[place].split(",")
        lines[place] = ",".join((sample, time, "N" if symbol == "V" else "V", *rest))
    table.write_text("\n".join(lines) + "\n")


def codes(ran: Any) -> set[str]:
    return {each["code"] for result in ran.json["recordings"] for each in result["findings"]}


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_a_corrected_prediction_is_learned_from(
    predicted: Any, ecgfl: Ecgfl, listed: Any, file_format: str
) -> None:
    path = predicted(file_format)
    found = wfdb.rdann(str(path.with_suffix("")), "ecgfl")
    symbols = list(found.symbol)
    corrected = [place for place, symbol in enumerate(symbols) if symbol == "N"][5:25]
    assert len(corrected) == 20
    for place in corrected:
        symbols[place] = "V"
    wfdb.wrann(
        path.stem,
        "ecgfl",
        np.asarray(found.sample),
        symbol=symbols,
        fs=found.fs,
        write_dir=str(path.parent),
    )

    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    (record,) = listed()
    assert (record["status"], record["label_origin"]) == ("usable", "reviewer")
    assert record["counts"] == {
        name: count for name in ("N", "V", "Q") if (count := symbols.count(name))
    }


@pytest.mark.parametrize("suffix", ["ecgfl", "ecgfl.csv"])
def test_a_corrected_file_is_not_overwritten(predicted: Any, ecgfl: Ecgfl, suffix: str) -> None:
    path = predicted()
    corrected = path.with_name(f"{path.stem}.{suffix}")
    before = corrected.read_bytes()
    if suffix == "ecgfl":
        write_annotations([BeatLabel(100, "V")], corrected, 250)
    else:
        correct(corrected)
    after = corrected.read_bytes()
    ran = ecgfl("predict", path, "--out", path.parent, "--json")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert f"{corrected}: was changed after it was predicted" in ran.problems[0]
    assert "--force" in ran.problems[0]
    assert corrected.read_bytes() == after
    assert ecgfl("predict", path, "--out", path.parent / "other").code == 0
    assert ecgfl("predict", path, "--out", path.parent, "--force").code == 0
    assert corrected.read_bytes() == before


def test_only_what_would_be_replaced_is_refused(predicted: Any, ecgfl: Ecgfl) -> None:
    path = predicted()
    correct(table_of(path))
    assert ecgfl("predict", path, "--out", path.parent, "--format", "wfdb,json").code == 0
    assert ecgfl("predict", path, "--out", path.parent, "--format", "csv").code == 3


def test_a_file_of_unknown_origin_is_not_overwritten(predicted: Any, ecgfl: Ecgfl) -> None:
    path = predicted()
    path.with_name(f"{path.stem}.ecgfl.origin.json").unlink()
    assert (
        ecgfl("predict", path, "--out", path.parent).code == 0
    )  # what it would write is there already
    path.with_name(f"{path.stem}.ecgfl.origin.json").unlink()
    correct(table_of(path))
    ran = ecgfl("predict", path, "--out", path.parent)
    assert ran.code == 3
    assert "nothing shows who wrote it" in ran.problems[0]


def test_unchanged_prediction_is_replaced_by_another_leads(predicted: Any, ecgfl: Ecgfl) -> None:
    path = predicted()
    assert ecgfl("predict", path, "--out", path.parent, "--lead", "V1").code == 0
    assert json.loads(path.with_name(f"{path.stem}.ecgfl.json").read_text())["leads"] == ["V1"]


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
def test_an_untouched_prediction_is_no_label(
    predicted: Any, ecgfl: Ecgfl, listed: Any, file_format: str
) -> None:
    path = predicted(file_format)
    for labels in ("ecgfl", path.with_suffix(".ecgfl"), table_of(path), path.parent):
        ran = ecgfl("ingest", path, "--labels", labels, "--json")
        assert (ran.code, "labels-by-machine" in codes(ran)) == (0, True)
    (record,) = listed()
    assert (record["status"], record["label_origin"], record["counts"]) == (
        "unlabelled",
        "machine",
        {},
    )
    assert ecgfl("segment", "--json").json["records"] == []


@pytest.mark.parametrize("fs", [128.7, 200 / 3 * 2, 999.9])
def test_an_untouched_prediction_at_an_odd_rate_is_no_label(
    predicted: Any, ecgfl: Ecgfl, listed: Any, fs: float
) -> None:
    path = predicted(fs=fs)
    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    assert listed()[0]["label_origin"] == "machine"


def test_a_copy_of_a_prediction_is_no_label(predicted: Any, ecgfl: Ecgfl, listed: Any) -> None:
    path = predicted()
    table = table_of(path)
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    for copy in (
        *(
            table.with_name(f"{path.stem}.ecgfl{rest}")
            for rest in (" (1).csv", "_corrected.csv", ".CSV")
        ),
        *(elsewhere / name for name in (table.name, "another.ecgfl.csv")),
    ):
        shutil.copy(table, copy)
        assert ecgfl("ingest", path, "--labels", copy).code == 0
        assert listed()[0]["label_origin"] == "machine"


def test_a_prediction_that_a_spreadsheet_saved_again_is_no_label(
    predicted: Any, ecgfl: Ecgfl, listed: Any
) -> None:
    """A German spreadsheet writes semicolons and decimal commas."""
    path = predicted()
    table = table_of(path)
    table.write_text(table.read_text().replace(",", ";").replace(".", ","), encoding="utf-8-sig")
    ran = ecgfl("ingest", path, "--labels", table, "--json")
    assert (ran.code, listed()[0]["label_origin"]) == (0, "machine")


def test_a_corrected_class_without_its_symbol_is_refused(predicted: Any, ecgfl: Ecgfl) -> None:
    path = predicted()
    table = table_of(path)
    lines = table.read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if ",N,N," in line)
    lines[place] = lines[place].replace(",N,N,", ",N,V,")
    table.write_text("\n".join(lines) + "\n")
    ran = ecgfl("ingest", path, "--labels", table)
    assert ran.code == 3
    assert f"line {place + 1} has another class than its symbol" in ran.problems[0]
    assert ecgfl("predict", path, "--out", path.parent).code == 3


def test_an_untouched_prediction_is_no_reference(predicted: Any, ecgfl: Ecgfl) -> None:
    path = predicted(seconds=400)
    ran = ecgfl("evaluate", path, "--labels", "ecgfl")
    assert ran.code == 3
    assert "nothing shows that a person corrected them" in ran.problems[0]
    correct(table_of(path))
    ran = ecgfl("evaluate", path, "--labels", "ecgfl", "--json")
    assert (ran.code, ran.json["failed"]) == (0, [])


@pytest.mark.parametrize("with_wfdb", [True, False])
def test_corrections_in_the_table_win_over_the_untouched_file(
    predicted: Any, ecgfl: Ecgfl, listed: Any, with_wfdb: bool
) -> None:
    path = predicted()
    correct(table_of(path))
    if not with_wfdb:
        path.with_suffix(".ecgfl").unlink()
    symbols = [line.split(",")[2] for line in table_of(path).read_text().splitlines()[1:]]
    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    (record,) = listed()
    assert (record["label_origin"], record["counts"]["V"]) == ("reviewer", symbols.count("V"))


def test_two_corrections_that_disagree_are_refused(
    predicted: Any, ecgfl: Ecgfl, listed: Any
) -> None:
    path = predicted()
    correct(table_of(path))
    write_annotations([BeatLabel(100, "V"), BeatLabel(300, "N")], path.with_suffix(".ecgfl"), 250)
    ran = ecgfl("ingest", path, "--labels", "ecgfl")
    assert ran.code == 3
    assert (
        f"{path.with_suffix('.ecgfl')} and {table_of(path)} hold different beats" in ran.problems[0]
    )
    assert ecgfl("ingest", path, "--labels", table_of(path)).code == 0
    assert listed()[0]["label_origin"] == "reviewer"


@pytest.mark.parametrize("shift", [0.0, 0.004, 0.1])
def test_two_references_agree_or_are_refused(
    site: Path,  # noqa: ARG001
    ecgfl: Ecgfl,
    export: Any,
    listed: Any,
    shift: float,
) -> None:
    """Tables often round times to 10 ms."""
    path = export(synthesise(71, 60, 360, pvc_share=0.1))
    labels = wfdb.rdann(str(path.with_suffix("")), "atr")
    rows = [
        f"{sample / 360 + shift:.2f},{symbol}\n"
        for sample, symbol in zip(labels.sample.tolist(), labels.symbol, strict=True)
    ]
    table = path.with_name(f"{path.stem}.labels.csv")
    table.write_text("time_s,symbol\n" + "".join(rows))
    ran = ecgfl("ingest", path)
    if shift < 0.05:
        assert ran.code == 0
        assert listed()[0]["label_origin"] == "reference"
        assert "reference" in ecgfl("dataset", "show", listed()[0]["record"]).out
        return
    assert ran.code == 3
    assert f"{path.with_suffix('.atr')} and {table} hold different beats" in ran.problems[0]
    assert ecgfl("ingest", path, "--labels", table).code == 0


def test_checked_predictions_count_under_another_name(
    predicted: Any, ecgfl: Ecgfl, listed: Any
) -> None:
    """What the finding `labels-by-machine` advises."""
    path = predicted("edf")
    shutil.copy(table_of(path), path.with_name(f"{path.stem}.labels.csv"))
    assert ecgfl("ingest", path, "--labels", "labels").code == 0
    assert listed()[0]["label_origin"] == "reference"


def test_labels_that_an_earlier_version_took_from_predictions_go(
    site: Path, predicted: Any, ecgfl: Ecgfl, listed: Any
) -> None:
    path = predicted()
    origin = path.with_name(f"{path.stem}.ecgfl.origin.json")
    kept = origin.read_bytes()
    origin.write_text(
        json.dumps(
            {"schema": "ecgfl.origin/1", "predictions": [{"model": "m", "labels_sha256": "0"}]}
        )
    )
    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    assert ecgfl("segment").code == 0
    (record,) = listed()
    assert record["status"] == "usable"
    origin.write_bytes(kept)
    ran = ecgfl("ingest", path, "--labels", "ecgfl", "--json")
    assert ran.json["outcomes"] == {"updated": 1}
    (record,) = listed()
    assert (record["status"], record["label_origin"], record["counts"]) == (
        "unlabelled",
        "machine",
        {},
    )
    assert not list((site / "records").rglob("*.atr"))
    assert not list((site / "beats").rglob("*.safetensors"))


def test_a_prediction_takes_no_reference_away(predicted: Any, ecgfl: Ecgfl, listed: Any) -> None:
    path = predicted()
    write_annotations(
        synthesise(71, 60, 250, pvc_share=0.15).labels or (), path.with_suffix(".atr"), 250
    )
    assert ecgfl("ingest", path).code == 0
    before = listed()
    assert before[0]["label_origin"] == "reference"
    assert ecgfl("ingest", path, "--labels", "ecgfl").code == 0
    assert listed() == before


def test_results_beside_recordings_are_no_recordings(
    predicted: Any, ecgfl: Ecgfl, listed: Any
) -> None:
    path = predicted("csv")
    shutil.copy(table_of(path), path.with_name(f"{path.stem}.ecgfl (1).csv"))
    ran = ecgfl("ingest", path.parent)
    assert (ran.code, len(listed())) == (0, 1)
    assert "left out" not in ran.out + ran.err
