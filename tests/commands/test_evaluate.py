"""`ecgfl evaluate` and what `predict` writes tell the same story."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.label_files import read_labels

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.comparison import Comparison
from ecgfl_cli.evaluation.ec57 import compare
from ecgfl_cli.evaluation.report import comparison_dict

pytestmark = pytest.mark.usefixtures("modelled")

Ecgfl = Callable[..., Any]


def by_hand(path: Path, out: Path) -> Comparison:
    """The comparison of a record's own labels with the annotation file that predict wrote."""
    recording = read(path)
    predicted = read_labels(out / f"{recording.name}.ecgfl", recording.fs)
    reference = BeatAnnotations.from_labels(recording.labels or ())
    return compare(reference, BeatAnnotations.from_labels(predicted), recording.fs, recording.length)


def test_evaluate_says_what_the_predicted_file_says(ecgfl: Ecgfl, export: Any, tmp_path: Path) -> None:
    paths = [export(synthesise(seed, 420, 250, pvc_share=0.15)) for seed in (71, 72)]
    assert ecgfl("predict", *paths, "--out", tmp_path / "out", "--format", "wfdb").code == 0
    ran = ecgfl("evaluate", *paths, "--json")
    assert ran.code == 0
    expected = [by_hand(path, tmp_path / "out") for path in paths]
    assert ran.json["gross"] == comparison_dict(expected[0] + expected[1])
    assert ran.json["records"] == {path.stem: comparison_dict(each) for path, each in zip(paths, expected, strict=True)}
    assert ran.json["gross"]["veb_tp"] > 0
    assert ran.json["gross"]["hours"] == pytest.approx(240 / 3600)
    shown = ecgfl("evaluate", *paths).out
    (gross,) = (line for line in shown.splitlines() if "gross" in line)
    cells = [cell.strip() for cell in gross.strip("│ ").split("│")]
    assert cells[3:6] == [str(ran.json["gross"][name]) for name in ("veb_tp", "veb_fn", "veb_fp")]


def test_records_of_one_name_all_count(ecgfl: Ecgfl, export: Any, tmp_path: Path) -> None:
    for ward, seed in (("a", 71), ("b", 72)):
        path = export(synthesise(seed, 330, 250, name="0001"))
        (tmp_path / "wards" / ward).mkdir(parents=True)
        for file in path.parent.iterdir():
            file.rename(tmp_path / "wards" / ward / file.name)
    ran = ecgfl("evaluate", tmp_path / "wards", "--json")
    assert ran.code != 0 or ran.json["gross"]["hours"] == pytest.approx(60 / 3600)


@pytest.mark.parametrize(("seconds", "labels", "word"), [(60, None, "5 minutes"), (330, "none", "--labels")])
def test_what_cannot_be_evaluated_is_refused(
    ecgfl: Ecgfl,
    export: Any,
    seconds: int,
    labels: str | None,
    word: str,
) -> None:
    ran = ecgfl("evaluate", export(synthesise(71, seconds, 250)), *(("--labels", labels) if labels else ()))
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert word in ran.problems[0]
