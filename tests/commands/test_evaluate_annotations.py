"""`evaluate --test` compares existing annotation files with the reference by bxb's rules.

Each case is worked out by hand from `app/bxb.c` of the WFDB software package. At 360 Hz the match
window is 54 samples and the learning period 108,000.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source
from ecgfl_adapters.registry import adapters
from ecgfl_adapters.wfdb.writer import write_annotations

pytestmark = pytest.mark.usefixtures("home")

Ecgfl = Callable[..., Any]
Beats = list[tuple[int, str]]

FS, LENGTH = 360, 144_000
T = 120_000
"""A sample well inside the evaluated time, 108,000 to 144,000."""


class Case(NamedTuple):
    reference: Beats
    test: Beats
    cells: dict[str, int]
    """Those of the confusion matrix that are not 0."""


CASES = {
    "the learning period does not count": Case(
        [(50_000, "V"), (107_999, "V"), (108_000, "V"), (T, "N")],
        [(50_000, "N"), (70_000, "V"), (T, "N")],
        {"Vo": 1, "Nn": 1},
    ),
    "a detection before the start counts when it is the first beat's": Case(
        [(108_010, "V"), (T, "N")], [(107_990, "V"), (T, "N")], {"Vv": 1, "Nn": 1}
    ),
    "a pair 54 samples apart matches": Case(
        [(T, "V"), (T + 500, "V")], [(T - 54, "V"), (T + 554, "V")], {"Vv": 2}
    ),
    "a pair 55 samples apart does not": Case(
        [(T, "V"), (T + 500, "V")], [(T - 55, "V"), (T + 555, "V")], {"Vo": 2, "Ov": 2}
    ),
    "of a double detection the nearer one counts": Case(
        [(T, "N"), (T + 500, "V")],
        [(T - 5, "N"), (T + 40, "V"), (T + 460, "N"), (T + 505, "V")],
        {"Nn": 1, "Ov": 1, "On": 1, "Vv": 1},
    ),
    "F and Q called V are neither right nor wrong": Case(
        [(T, "F"), (T + 500, "Q"), (T + 1000, "/"), (T + 1500, "V")],
        [(T, "V"), (T + 500, "V"), (T + 1000, "N"), (T + 1500, "V")],
        {"Fv": 1, "Qv": 1, "Qn": 1, "Vv": 1},
    ),
    "a V called F or Q is missed": Case(
        [(T, "V"), (T + 500, "V")], [(T, "F"), (T + 500, "Q")], {"Vf": 1, "Vq": 1}
    ),
    "missed and extra beats": Case(
        [(T, "N"), (T + 300, "V"), (T + 600, "A")],
        [(T + 600, "N"), (T + 900, "V"), (T + 1200, "N")],
        {"No": 1, "Vo": 1, "Sn": 1, "Ov": 1, "On": 1},
    ),
    "beats and detections during fibrillation do not count": Case(
        [(T, "N"), (T + 300, "["), (T + 600, "V"), (T + 900, "]"), (T + 1200, "N")],
        [(T, "N"), (T + 300, "V"), (T + 500, "N"), (T + 900, "V"), (T + 950, "V"), (T + 1200, "N")],
        {"Nn": 2, "Ov": 1},
    ),
    "a detector that calls fibrillation hides its own beats": Case(
        [(T, "N"), (T + 300, "V"), (T + 900, "N")],
        [(T, "N"), (T + 200, "["), (T + 300, "V"), (T + 400, "]"), (T + 900, "N")],
        {"Nn": 2, "Vo": 1},
    ),
    "marks of rhythm and noise are no beats": Case(
        [(T - 90, "+"), (T, "N"), (T + 20, "~"), (T + 400, "|")],
        [(T, "N"), (T + 20, "+"), (T + 400, "x"), (T + 500, '"')],
        {"Nn": 1},
    ),
}


def labels(beats: Beats) -> tuple[BeatLabel, ...]:
    return tuple(BeatLabel(*beat) for beat in beats)


def record(folder: Path, reference: Beats, name: str = "0001", file_format: str = "wfdb") -> Path:
    """A recording of 400 s whose signal nobody looks at."""
    lead = Lead("II", np.linspace(-1, 1, LENGTH, dtype=np.float32), 0.005)
    folder.mkdir(parents=True, exist_ok=True)
    made = Recording(name, FS, (lead,), Source(folder / name, file_format, name), labels(reference))
    return adapters()[file_format].write(made, folder)[0]


def matrix(cells: dict[str, int]) -> list[list[int]]:
    counts = np.zeros((7, 7), dtype=int)
    for cell, count in cells.items():
        counts["NSVFQOX".index(cell[0]), "nsvfqox".index(cell[1])] = count
    return counts.tolist()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_counts_are_those_of_bxb(ecgfl: Ecgfl, tmp_path: Path, case: Case) -> None:
    path = record(tmp_path, case.reference)
    write_annotations(labels(case.test), tmp_path / "0001.tst")
    ran = ecgfl("evaluate", path, "--test", "tst", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["gross"]["matrix"]["counts"] == matrix(case.cells)
    assert (ran.json["model"], ran.json["test"]) == (None, "tst")


def test_figures_and_matrix_as_they_are_printed(ecgfl: Ecgfl, tmp_path: Path) -> None:
    """Check each figure by hand.

    3 of 4 V are found and one N is called V: Se, +P and F1 are 75, and one false positive in 100 s
    is 36 per hour. Of 8 beats one is missed, and one detection is extra: 87.5.
    """
    reference = [(T + 500 * place, "VVVVNNNN"[place]) for place in range(8)]
    found = [(T + 500 * place, "VVV.VNNN"[place]) for place in range(8) if place != 3] + [
        (T + 5000, "N")
    ]
    path = record(tmp_path, reference)
    write_annotations(labels(found), tmp_path / "0001.tst")
    shown = ecgfl("evaluate", path, "--test", "tst").out
    rows = [
        [cell.strip() for cell in line.strip("│ ").split("│")]
        for line in shown.splitlines()
        if "0001" in line
    ]
    assert rows == [
        ["0001", "7", "1", "1", "87.50", "87.50", "87.50"],
        ["0001", "3", "1", "1", "75.00", "75.00", "75.00", "36.00"],
    ]
    assert (
        "               Algorithm\n"
        "        n    s    v    f    q    o    x\n"
        "   ____________________________________\n"
        " N |    3    0    1    0    0    0    0\n"
        " S |    0    0    0    0    0    0    0\n"
        " V |    0    0    3    0    0    1    0\n"
        " F |    0    0    0    0    0    0    0\n"
        " Q |    0    0    0    0    0    0    0\n"
        " O |    1    0    0    0    0\n"
        " X |    0    0    0    0    0\n"
    ) in shown


@pytest.mark.parametrize("file_format", ["wfdb", "edf", "csv"])
@pytest.mark.parametrize("place", ["beside", "file", "folder"])
def test_finds_annotations_by_suffix_file_or_folder(
    ecgfl: Ecgfl, tmp_path: Path, file_format: str, place: str
) -> None:
    path = record(tmp_path / "in", [(T, "N"), (T + 300, "V")], file_format=file_format)
    (tmp_path / "out").mkdir()
    where = {
        "beside": path.with_suffix(".tst"),
        "file": tmp_path / "any.qrs",
        "folder": tmp_path / "out" / "0001.ecgfl",
    }[place]
    write_annotations(labels([(T, "N"), (T + 310, "V"), (T + 600, "V")]), where, FS)
    ran = ecgfl(
        "evaluate",
        path,
        "--test",
        {"beside": "tst", "file": where, "folder": where.parent}[place],
        "--json",
    )
    assert ran.code == 0, ran.err
    assert ran.json["gross"]["matrix"]["counts"] == matrix({"Nn": 1, "Vv": 1, "Ov": 1})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_finds_predictions_of_a_name_with_a_colon(ecgfl: Ecgfl, tmp_path: Path) -> None:
    path = record(tmp_path / "in", [(T, "N"), (T + 300, "V")], "0001:2", file_format="edf")
    assert ecgfl("predict", path, "--out", tmp_path / "out", "--format", "wfdb").code == 3
    assert ecgfl("evaluate", path, "--test", tmp_path / "out").code == 0


def test_annotations_at_another_rate_are_converted(ecgfl: Ecgfl, tmp_path: Path) -> None:
    path = record(tmp_path, [(T, "V")])
    write_annotations(labels([(round(T * 250 / 360), "V")]), tmp_path / "0001.tst", 250)
    assert ecgfl("evaluate", path, "--test", "tst", "--json").json["gross"]["veb_tp"] == 1


def test_another_reference_can_be_named(ecgfl: Ecgfl, tmp_path: Path) -> None:
    path = record(tmp_path, [(T, "N")])
    write_annotations(labels([(T, "V")]), tmp_path / "0001.two")
    assert (
        ecgfl("evaluate", path, "--labels", "two", "--test", "atr", "--json").json["gross"][
            "veb_fn"
        ]
        == 1
    )


def test_one_recording_without_its_file_does_not_stop_the_others(
    ecgfl: Ecgfl, tmp_path: Path
) -> None:
    for name in ("0001", "0002"):
        record(tmp_path, [(T, "V")], name)
    write_annotations(labels([(T, "V")]), tmp_path / "0002.tst")
    ran = ecgfl("evaluate", tmp_path, "--test", "tst", "--json")
    assert ran.code == 3
    assert list(ran.json["records"]) == ["0002"]
    assert [Path(failed["file"]).name for failed in ran.json["failed"]] == ["0001.hea"]
    (problem,) = ran.problems
    assert "0001.tst" in problem
    assert "--test" in problem
    assert "--labels" not in problem


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--test", "none"), 3, "names no annotations"),
        (("--test", "atr", "--model", "ecgnet-0001"), 2, "--against ecgnet-0001"),
        (("--test", "missing/beats.atr"), 3, "missing/beats.atr"),
    ],
)
def test_what_names_nothing_to_test_is_refused(
    ecgfl: Ecgfl, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ran = ecgfl("evaluate", record(tmp_path, [(T, "V")]), *arguments)
    assert (ran.code, len(ran.problems)) == (code, 1)
    assert words in ran.problems[0]


def test_one_file_is_not_held_against_two_recordings(ecgfl: Ecgfl, tmp_path: Path) -> None:
    paths = [record(tmp_path, [(T, "V")], name) for name in ("0001", "0002")]
    ran = ecgfl("evaluate", *paths, "--test", tmp_path / "0001.atr")
    assert (ran.code, len(ran.problems)) == (2, 1)
    assert "2 recordings" in ran.problems[0]


def test_a_broken_annotation_file_is_named(ecgfl: Ecgfl, tmp_path: Path) -> None:
    path = record(tmp_path, [(T, "V")])
    (tmp_path / "0001.tst").write_bytes(b"cut")
    ran = ecgfl("evaluate", path, "--test", "tst")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert "0001.tst" in ran.problems[0]


def test_reference_without_beats_is_refused(ecgfl: Ecgfl, tmp_path: Path) -> None:
    """Many databases keep rhythms in .atr and beats in another file."""
    path = record(tmp_path, [(T, "+"), (T + 900, "~"), (T + 2000, "!")])
    ran = ecgfl("evaluate", path, "--test", "atr")
    assert (ran.code, len(ran.problems)) == (3, 1)
    assert "none of its 3 reference labels is a beat" in ran.problems[0]
    assert "--labels" in ran.problems[0]


def test_a_real_reference_agrees_with_itself(ecgfl: Ecgfl, real_data: Path) -> None:
    """207 holds fibrillation. No home is needed to compare annotations."""
    paths = [real_data / "mitdb" / f"{record}.hea" for record in (119, 207)]
    ran = ecgfl("evaluate", *paths, "--test", "atr", "--json")
    counts = np.asarray(ran.json["gross"]["matrix"]["counts"])
    assert np.array_equal(counts, np.diag(np.diag(counts)))
    in_119 = wfdb.rdann(str(paths[0].with_suffix("")), "atr")
    assert ran.json["records"]["119"]["veb_tp"] == sum(
        symbol == "V" and sample >= 108_000
        for symbol, sample in zip(in_119.symbol, in_119.sample, strict=True)
    )
