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
from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
from ecgfl_cli.models.manifest import SignedManifest
from ecgfl_cli.models.site_models import site_registry
from ecgfl_cli.site.home import Home

pytestmark = pytest.mark.usefixtures("modelled")

Ecgfl = Callable[..., Any]


def by_hand(path: Path, out: Path) -> Comparison:
    """The comparison of a record's own labels with the annotation file that predict wrote."""
    recording = read(path)
    predicted = read_labels(out / f"{recording.name}.ecgfl", recording.fs)
    reference = BeatAnnotations.from_labels(recording.labels or ())
    return compare(
        reference, BeatAnnotations.from_labels(predicted), recording.fs, recording.length
    )


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│ ").split("│")]


@pytest.fixture
def eager(modelled: Path, federation: Any) -> str:
    """Add a second version: the same network, with a threshold at which nearly all beats are V."""
    home = CoordinatorHome(federation.root)
    key = load_signing_key(home)
    registry = site_registry(Home(modelled))
    manifest, network = registry.load(federation.version)
    version = federation.version.replace("-0001-", "-0002-")
    changed = manifest.model_copy(update={"version": version, "sequence": 2, "threshold": 1e-6})
    registry.add(SignedManifest.sign(changed, key), network, "a test")
    return version


def test_evaluate_says_what_the_predicted_file_says(
    ecgfl: Ecgfl, export: Any, tmp_path: Path
) -> None:
    paths = [export(synthesise(seed, 420, 250, pvc_share=0.15)) for seed in (71, 72)]
    assert ecgfl("predict", *paths, "--out", tmp_path / "out", "--format", "wfdb").code == 0
    ran = ecgfl("evaluate", *paths, "--json")
    assert ran.code == 0
    expected = [by_hand(path, tmp_path / "out") for path in paths]
    assert ran.json["gross"] == comparison_dict(expected[0] + expected[1])
    assert ran.json["records"] == {
        path.stem: comparison_dict(each) for path, each in zip(paths, expected, strict=True)
    }
    assert ran.json["gross"]["veb_tp"] > 0
    assert ran.json["gross"]["hours"] == pytest.approx(240 / 3600)
    assert (
        ecgfl("evaluate", *paths, "--test", tmp_path / "out", "--json").json["records"]
        == ran.json["records"]
    )
    shown = ecgfl("evaluate", *paths).out
    qrs, veb = (cells_of(line) for line in shown.splitlines() if "│ gross" in line)
    assert qrs[1:4] == [str(ran.json["gross"][name]) for name in ("qrs_tp", "qrs_fn", "qrs_fp")]
    assert veb[1:4] == [str(ran.json["gross"][name]) for name in ("veb_tp", "veb_fn", "veb_fp")]
    (rate,) = (cells_of(line) for line in shown.splitlines() if "VEB FP/h" in line)
    interval = ran.json["intervals"]["veb_false_positives_per_hour"]
    assert rate[1:4] == [
        f"{value:.2f}" for value in (ran.json["gross"]["veb_false_positives_per_hour"], *interval)
    ]


def test_two_models_are_compared_on_the_same_records(
    ecgfl: Ecgfl, export: Any, federation: Any, eager: str, tmp_path: Path
) -> None:
    paths = [export(synthesise(seed, 420, 250, pvc_share=0.15)) for seed in (71, 72)]
    versions = {"first": federation.version, "second": eager}
    alone = {
        side: ecgfl("evaluate", *paths, "--model", version, "--json").json
        for side, version in versions.items()
    }
    ran = ecgfl("evaluate", *paths, "--model", federation.version, "--against", eager, "--json")
    assert ran.code == 0
    assert ran.json["model"] == federation.version
    assert ran.json["against"]["model"] == eager
    for part in ("records", "gross", "average", "intervals"):
        assert ran.json[part] == alone["first"][part]
        assert ran.json["against"][part] == alone["second"][part]
    gross = {side: content["gross"] for side, content in alone.items()}
    # The eager one calls nearly every beat V.
    assert gross["second"]["veb_fp"] > gross["first"]["veb_fp"]
    comparison = ran.json["comparison"]
    for name, difference in comparison["differences"].items():
        assert difference == pytest.approx(gross["first"][name] - gross["second"][name])
        low, high = comparison["intervals"][name]
        assert low <= difference <= high
    assert comparison["veb_errors"] == {
        "fewer": 2,
        "more": 0,
        "equal": 0,
        "sign_test": pytest.approx(0.5),
    }
    shown = ecgfl("evaluate", *paths, "--against", eager).out
    assert f"A = {federation.version}, B = {eager}" in shown
    pair = [cells_of(line) for line in shown.splitlines() if "│ gross" in line][2]
    assert pair[1:5] == [
        str(gross[side][name]) for name in ("veb_fn", "veb_fp") for side in ("first", "second")
    ]
    assert "fewer VEB errors (FN + FP) than B in 2 records" in shown
    ecgfl("predict", *paths, "--model", eager, "--out", tmp_path / "out", "--format", "wfdb")
    mixed = ecgfl(
        "evaluate", *paths, "--test", tmp_path / "out", "--against", federation.version, "--json"
    ).json
    assert mixed["comparison"]["differences"]["veb_f1"] == pytest.approx(
        -comparison["differences"]["veb_f1"]
    )


def test_comparison_with_itself_or_an_unknown_model_is_refused(
    ecgfl: Ecgfl, export: Any, federation: Any
) -> None:
    path = export(synthesise(71, 330, 250))
    for version, word in (
        (federation.version, "itself"),
        ("ecgnet-0009-00000000", "ecgnet-0009-00000000"),
    ):
        ran = ecgfl("evaluate", path, "--against", version)
        assert (ran.code, len(ran.problems)) == (2, 1)
        assert word in ran.problems[0]


def test_records_of_one_name_all_count(ecgfl: Ecgfl, export: Any, tmp_path: Path) -> None:
    for ward, seed in (("a", 71), ("b", 72)):
        path = export(synthesise(seed, 330, 250, name="0001"))
        (tmp_path / "wards" / ward).mkdir(parents=True)
        for file in path.parent.iterdir():
            file.rename(tmp_path / "wards" / ward / file.name)
    ran = ecgfl("evaluate", tmp_path / "wards", "--json")
    assert ran.code != 0 or ran.json["gross"]["hours"] == pytest.approx(60 / 3600)


@pytest.mark.parametrize(
    ("seconds", "labels", "word"), [(60, None, "5 minutes"), (330, "none", "--labels")]
)
def test_what_cannot_be_evaluated_is_refused(
    ecgfl: Ecgfl,
    export: Any,
    seconds: int,
    labels: str | None,
    word: str,
) -> None:
    ran = ecgfl(
        "evaluate", export(synthesise(71, seconds, 250)), *(("--labels", labels) if labels else ())
    )
    assert ran.code == 3
    assert len(ran.err.splitlines()) == len(ran.problems) == 1
    assert word in ran.problems[0]
