"""Labels from a folder tree, such as the one that `predict --out` writes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters.recording import BeatLabel
from ecgfl_adapters.registry import adapters
from ecgfl_adapters.wfdb.writer import write_annotations

from ecgfl_cli.demo.synthesiser import synthesise

Ecgfl = Callable[..., Any]
Tree = Callable[..., Path]


@pytest.fixture
def tree(site: Path, tmp_path: Path) -> Tree:  # noqa: ARG001
    """tree("a/ECG", ...): unlabelled EDF files at these places, a seed each from 80 on."""

    def tree(*places: str, seconds: float = 30) -> Path:
        root = tmp_path / "data"
        for seed, place in enumerate(places, start=80):
            target = root / f"{place}.EDF"
            target.parent.mkdir(parents=True, exist_ok=True)
            made = synthesise(seed, seconds, 250, name="made", pvc_share=0.2)
            adapters()["edf"].write(made, tmp_path)[0].replace(target)
        return root

    return tree


def label(folder: Path, name: str, seed: int, *, seconds: float = 30) -> None:
    """Write the right labels of the recording of a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_annotations(
        synthesise(seed, seconds, 250, pvc_share=0.2).labels or (), folder / f"{name}.atr", 250
    )


def results(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder).as_posix()) for path in folder.rglob("*.ecgfl"))


def test_predict_mirrors_subfolders(tree: Tree, ecgfl: Ecgfl, tmp_path: Path) -> None:
    root, out = tree("a/ECG", "b/ECG", "b/c/ECG", "ECG"), tmp_path / "out"
    ran = ecgfl("predict", root, "--out", out, "--json")
    assert ran.code == 0
    assert results(out) == ["ECG.ecgfl", "a/ECG.ecgfl", "b/ECG.ecgfl", "b/c/ECG.ecgfl"]
    assert len({(out / path).read_bytes() for path in results(out)}) == 4
    written = [Path(path) for result in ran.json["recordings"] for path in result["written"]]
    assert len(set(written)) == 12


def test_files_named_one_by_one_do_not_share_a_result(
    tree: Tree, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    root, out = tree("a/ECG", "b/ECG"), tmp_path / "out"
    ran = ecgfl("predict", root / "a/ECG.EDF", root / "b/ECG.EDF", "--out", out)
    assert ran.code == 2
    assert "a/ECG.EDF" in ran.problems[0].replace("\\", "/")
    assert "b/ECG.EDF" in ran.problems[0].replace("\\", "/")
    assert not out.exists()


def test_a_later_call_does_not_replace_anothers_result(
    tree: Tree, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    root, out = tree("a/ECG", "b/ECG"), tmp_path / "out"
    assert ecgfl("predict", root / "a", "--out", out).code == 0
    before = (out / "ECG.ecgfl").read_bytes()
    ran = ecgfl("predict", root / "b", "--out", out)
    assert ran.code == 3
    assert "another recording of this name" in ran.problems[0]
    assert (out / "ECG.ecgfl").read_bytes() == before
    shutil.move(root / "a", root / "moved")
    assert ecgfl("predict", root / "moved", "--out", out).code == 0
    assert ecgfl("predict", root / "b", "--out", out, "--force").code == 0
    assert ecgfl("predict", root / "moved", "--out", out).code == 3


@pytest.mark.parametrize(
    "names", [("rec.csv.gz", "rec.EDF"), ("rec.csv", "rec.EDF"), ("rec.EDF", "REC.edf")]
)
def test_names_that_differ_by_suffix_or_case_are_refused(
    tree: Tree, ecgfl: Ecgfl, export: Any, tmp_path: Path, names: tuple[str, str]
) -> None:
    """Windows takes upper and lower case for the same."""
    import gzip

    root = tree("rec")
    if names[0].startswith("rec.csv"):
        raw = export(81, "csv").read_bytes()
        (root / names[0]).write_bytes(gzip.compress(raw) if names[0].endswith(".gz") else raw)
    else:
        shutil.copy(root / "rec.EDF", root / names[1])
        if len(list(root.iterdir())) == 1:
            pytest.skip("the file system takes upper and lower case for the same")
    for arguments in ((root,), tuple(root.iterdir())):
        ran = ecgfl("predict", *arguments, "--out", tmp_path / "out")
        assert ran.code == 2
        assert all(name in ran.problems[0] for name in names)


def test_labels_follow_subfolders(tree: Tree, ecgfl: Ecgfl, listed: Any, tmp_path: Path) -> None:
    root, labels = tree("a/ECG", "b/ECG"), tmp_path / "labels"
    label(labels / "a", "ECG", 80)
    label(labels / "b", "ECG", 81)
    ran = ecgfl("ingest", root, "--labels", labels, "--json")
    assert ran.code == 0
    assert {row["status"] for row in listed()} == {"usable"}
    assert "labels-off-peak" not in {
        each["code"] for result in ran.json["recordings"] for each in result["findings"]
    }
    assert ecgfl("validate", root, "--labels", labels, "--json").json["unreadable"] == {}


def test_a_recording_without_labels_takes_none_of_another(
    tree: Tree, ecgfl: Ecgfl, listed: Any, tmp_path: Path
) -> None:
    root, labels = tree("ECG", "b/ECG"), tmp_path / "labels"
    label(labels, "ECG", 80)
    assert ecgfl("ingest", root, "--labels", labels).code == 0
    assert sorted(row["status"] for row in listed()) == ["unlabelled", "usable"]


def test_labels_in_one_folder(tree: Tree, ecgfl: Ecgfl, listed: Any, tmp_path: Path) -> None:
    """The recordings are in subfolders, and their names differ."""
    root, labels = tree("a/P1", "b/P2"), tmp_path / "labels"
    for name, seed in (("P1", 80), ("P2", 81)):
        label(labels, name, seed)
    assert ecgfl("ingest", root, "--labels", labels).code == 0
    assert [row["status"] for row in listed()] == ["usable", "usable"]


def test_one_label_file_for_two_recordings_is_refused(
    tree: Tree, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    root, labels = tree("a/ECG", "b/ECG", seconds=400), tmp_path / "labels"
    label(labels, "ECG", 80, seconds=400)
    files = (root / "a/ECG.EDF", root / "b/ECG.EDF")
    for verb, arguments in (("ingest", (root,)), ("ingest", files), ("evaluate", (root,))):
        ran = ecgfl(verb, *arguments, "--labels", labels)
        assert (ran.code, len(ran.problems)) == (3, 2)
        assert "whose labels" in ran.problems[0]
    for verb in ("ingest", "validate", "evaluate"):
        ran = ecgfl(verb, root, "--labels", labels / "ECG.atr")
        assert ran.code == 2
        assert "one file for 2 recordings" in ran.problems[0]
    assert ecgfl("ingest", files[0], "--labels", labels / "ECG.atr").code == 0


def test_a_folder_without_their_labels_is_told(tree: Tree, ecgfl: Ecgfl, tmp_path: Path) -> None:
    root, labels = tree("a/ECG"), tmp_path / "labels"
    label(labels / "a", "ECG", 80)
    ran = ecgfl("ingest", root / "a", "--labels", labels)
    assert ran.code == 0
    assert "holds no labels of these recordings" in ran.problems[0]
    assert ecgfl("ingest", root, "--labels", labels).problems == []


def test_an_annotator_goes_before_a_folder_of_its_name(
    tree: Tree, ecgfl: Ecgfl, listed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree("ECG")
    label(root, "ECG", 80)
    (tmp_path / "atr").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ecgfl("ingest", root / "ECG.EDF", "--labels", "atr").problems == []
    assert listed()[0]["status"] == "usable"


@pytest.mark.parametrize("file_format", ["wfdb", "csv", "wfdb,csv"])
def test_predictions_are_evaluated_from_subfolders(
    tree: Tree, ecgfl: Ecgfl, tmp_path: Path, file_format: str
) -> None:
    root, out = tree("a/ECG", "b/ECG", seconds=400), tmp_path / "out"
    for folder, seed in (("a", 80), ("b", 81)):
        label(root / folder, "ECG", seed, seconds=400)
    assert ecgfl("predict", root, "--out", out, "--format", file_format).code == 0
    ran = ecgfl("evaluate", root, "--labels", "atr", "--test", out, "--json")
    assert (ran.code, len(ran.json["records"])) == (0, 2)
    assert ran.json["gross"]["qrs_tp"] > 100 * ran.json["gross"]["qrs_fn"]
    table = out / "a" / "ECG.ecgfl.csv"
    if file_format == "wfdb,csv":
        table.write_text(table.read_text().replace(",N,N,", ",V,V,"))
        ran = ecgfl("evaluate", root, "--labels", "atr", "--test", out)
        assert ran.code == 3
        assert "ECG.ecgfl and" in ran.problems[0]
        assert "hold different beats" in ran.problems[0]


def test_a_folder_of_predictions_is_not_mixed_with_references(tree: Tree, ecgfl: Ecgfl) -> None:
    """Predictions beside the recordings and their .atr: what is measured is the prediction."""
    root = tree("ECG", seconds=400)
    label(root, "ECG", 80, seconds=400)
    write_annotations([BeatLabel(90_000, "V")], root / "ECG.ecgfl", 250)
    ran = ecgfl("evaluate", root, "--labels", "atr", "--test", root, "--json")
    assert ran.json["gross"]["qrs_tp"] <= 1
    assert ran.json["gross"]["qrs_fn"] > 50


def test_corrections_come_back_from_the_results(
    tree: Tree, ecgfl: Ecgfl, listed: Any, tmp_path: Path
) -> None:
    root, out = tree("a/ECG", "b/ECG"), tmp_path / "out"
    assert ecgfl("predict", root, "--out", out).code == 0
    table = out / "b" / "ECG.ecgfl.csv"
    table.write_text(table.read_text().replace(",N,N,", ",V,V,", 5))
    assert ecgfl("ingest", root, "--labels", out).code == 0
    assert sorted((row["status"], row["label_origin"]) for row in listed()) == [
        ("unlabelled", "machine"),
        ("usable", "reviewer"),
    ]
