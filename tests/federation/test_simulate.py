"""`ecgfl simulate`: virtual sites train and measure as real ones do, and leave no files."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulations import PATIENTS, QUICK, SITES

from ecgfl_cli.federation.simulation.virtual_sites import deal, deal_patients
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack, unpack
from ecgfl_cli.reports.charts import COLOURS
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.training.dataset import load_dataset, load_held_out
from ecgfl_cli.training.local import TrainingPlan, measure, train

Ecgfl = Callable[..., Any]


@pytest.fixture
def store(segmented: Path, home: Path) -> Home:
    """A copy of that home, which is the one of the commands."""
    shutil.copytree(segmented / "home", home)
    return Home(home)


def test_without_the_engine_it_is_said_how_to_install_it(
    store: Home,
    ecgfl: Ecgfl,
    monkeypatch: pytest.MonkeyPatch,
    files_of: Callable[[Path], dict[str, bytes]],
) -> None:
    before = files_of(store.root)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find_spec(name, *rest),
    )
    ran = ecgfl("simulate", "--sites", "3")
    assert ran.code == 2
    assert f"-m pip install 'flwr[simulation]=={version('flwr')}'" in ran.problems[0]
    assert len(ran.err.splitlines()) == 1
    assert files_of(store.root) == before


@pytest.mark.parametrize(
    "options", [(), ("--sites", "2", "--folder", "x", "--folder", "y"), ("--folder", "x")]
)
def test_the_sites_are_either_dealt_or_given(options: tuple[str, ...], ecgfl: Ecgfl) -> None:
    ran = ecgfl("simulate", *options)
    assert ran.code == 2
    assert "--sites" in ran.problems[0]
    assert "--folder" in ran.problems[0]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (
            ("--sites", "2", "--strategy", "median"),
            2,
            "--sites 2 is too few for the strategy median",
        ),
        (("--sites", "3", "--strategy", "magic"), 2, "--strategy magic: no such strategy"),
        (
            ("--sites", "3", "--strategy", "fedprox:mu=1"),
            2,
            "--strategy fedprox:mu=1: 'mu=1' is not an option with a number",
        ),
        (
            ("--sites", "3", "--strategy", "fedprox:proximal-mu=x"),
            2,
            "'proximal-mu=x' is not an option with a number",
        ),
        (
            ("--sites", "3", "--strategy", "fedavg:proximal-mu=1"),
            2,
            "fedavg:proximal-mu=1: proximal-mu is not an option of",
        ),
        (
            ("--sites", "3", "--strategy", "fedprox:proximal-mu=-1"),
            2,
            "fedprox:proximal-mu=-1: proximal-mu -1 is not between",
        ),
        (("--sites", "3", "--strategy", "krum:malicious-sites=0.5"), 2, "malicious-sites 0.5"),
        (
            ("--sites", "5", *[f"--strategy=krum:malicious{sign}sites=1" for sign in "-_"]),
            2,
            "these would write to the same file",
        ),
        (("--sites", str(PATIENTS)), 3, f"are too few for {PATIENTS} sites"),
    ],
)
def test_a_simulation_that_cannot_be_is_refused(
    options: tuple[str, ...], code: int, words: str, store: Home, ecgfl: Ecgfl
) -> None:
    assert store.catalogue.is_file()
    ran = ecgfl("simulate", *options, *QUICK)
    assert ran.code == code
    assert words in ran.problems[0]


def test_every_patient_is_dealt_once_and_keeps_its_split(store: Home, tmp_path: Path) -> None:
    with open_catalogue(store.catalogue) as catalogue:
        patients, splits = {row.patient for row in catalogue.rows()}, catalogue.splits()
    sites = deal(store, SITES, seed=0, folder=tmp_path / "sites")
    dealt: dict[str, str] = {}
    for site in sites:
        with open_catalogue(site.home.catalogue) as catalogue:
            assert not dealt.keys() & catalogue.splits().keys()
            dealt |= catalogue.splits()
            assert {row.patient for row in catalogue.rows()} == catalogue.splits().keys()
    assert dealt == splits
    assert dealt.keys() == patients
    assert (
        max(site.train_patients for site in sites) - min(site.train_patients for site in sites) <= 1
    )
    assert all(site.train_pvcs for site in sites)


def test_the_seed_decides_who_goes_where(store: Home) -> None:
    with open_catalogue(store.catalogue) as catalogue:
        rows, splits = catalogue.rows(), catalogue.splits()
    first, again, other = (deal_patients(rows, splits, SITES, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.usefixtures("in_process")
def test_a_round_is_what_the_sites_train_weighted_by_their_beats(
    store: Home, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    ran = ecgfl("--json", "simulate", "--sites", SITES, *QUICK)
    assert ran.code == 0, ran.err
    (simulated,) = ran.json["runs"]
    (result,) = simulated["rounds"]

    import torch

    ecgnet = architecture("ecgnet")
    torch.manual_seed(0)
    start = pack(ecgnet.build())
    trained, beats = [], []
    for site in deal(store, SITES, seed=0, folder=tmp_path / "sites"):
        network = ecgnet.build()
        unpack(network, start)
        examples = load_dataset(site.home, ecgnet).train
        train(
            network,
            ecgnet,
            examples,
            TrainingPlan(1, ecgnet.learning_rate, ecgnet.batch_size, seed=1),
        )
        trained.append(pack(network).astype(np.float64))
        beats.append(len(examples))
    expected = np.average(trained, axis=0, weights=beats).astype(np.float32)
    assert result["examples"] == sum(beats)
    network = ecgnet.build()
    unpack(network, expected)
    measured = measure(network, load_held_out(store, ecgnet))
    assert (result["metrics"]["beats"], result["metrics"]["pvcs"]) == (
        measured.beats,
        measured.pvcs,
    )
    assert result["metrics"]["loss"] == pytest.approx(measured.loss, rel=1e-5)


@pytest.mark.usefixtures("in_process")
def test_nothing_in_the_home_changes(
    store: Home, ecgfl: Ecgfl, files_of: Callable[[Path], dict[str, bytes]]
) -> None:
    before = files_of(store.root)
    ran = ecgfl("simulate", "--sites", SITES, *QUICK)
    assert ran.code == 0, ran.err
    assert {**files_of(store.root), "lock": b""} == {**before, "lock": b""}


@pytest.mark.usefixtures("in_process")
def test_strategies_are_compared_from_the_same_weights(
    store: Home, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    assert store.catalogue.is_file()
    arguments = (
        "simulate",
        "--sites",
        SITES,
        "--strategy",
        "fedavg",
        "--strategy",
        "median",
        *QUICK,
        "--out",
        tmp_path / "out",
    )
    ran = ecgfl(*arguments)
    assert ran.code == 0, ran.err
    assert [
        line.split("│")[1].strip()
        for line in ran.out.splitlines()
        if line.startswith(("│ fedavg", "│ median"))
    ] == [
        "fedavg",
        "median",
    ]
    again = ecgfl("--json", *arguments).json
    fedavg, median = again["runs"]
    assert fedavg["rounds"][0]["loss"] == median["rounds"][0]["loss"], (
        "both train on from the same weights"
    )
    assert fedavg["rounds"][0]["version"] != median["rounds"][0]["version"]
    for each in again["runs"]:
        page = Path(each["page"])
        assert "<svg" in page.read_text(encoding="utf-8")
        report = json.loads(page.with_suffix(".json").read_bytes())
        assert report["starts"] == 1, "an earlier report is replaced"
        assert report["rounds"][0]["version"] == each["rounds"][0]["version"]


@pytest.mark.usefixtures("in_process")
def test_one_strategy_with_several_options_is_compared_on_one_page(
    store: Home, ecgfl: Ecgfl, tmp_path: Path
) -> None:
    assert store.catalogue.is_file()
    tried = ["fedprox:proximal-mu=0", "fedprox:proximal-mu=50", "krum:malicious-sites=0"]
    options = [option for text in tried for option in ("--strategy", text)]
    ran = ecgfl("--json", "simulate", "--sites", SITES, *QUICK, *options, "--out", tmp_path)
    assert ran.code == 0, ran.err
    near, far, krum = ran.json["runs"]
    assert [each["strategy"] for each in (near, far, krum)] == tried
    assert near["rounds"][0]["version"] != far["rounds"][0]["version"], (
        "the proximal term was another"
    )
    page = Path(ran.json["page"]).read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    for place, (text, each) in enumerate(zip(tried, (near, far, krum), strict=True)):
        points = page.count(f"<title>{text}, round 1")
        assert points >= 2, (
            "sensitivity and loss are always defined, precision and F1 only where a PVC was called"
        )
        assert page.count(f'fill="{COLOURS[place]}"') == points
        assert f'href="{Path(each["page"]).name}"' in page
        assert Path(each["page"]).is_file()
        assert set(Path(each["page"]).name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@pytest.mark.usefixtures("in_process")
def test_a_strategy_that_fails_is_told_and_stops_no_other(store: Home, ecgfl: Ecgfl) -> None:
    assert store.catalogue.is_file()
    options = ("--strategy", "fedavg", "--strategy", "fedprox", "--learning-rate", "1e9")
    ran = ecgfl("--json", "simulate", "--sites", SITES, *QUICK, *options)
    assert ran.code == 3
    assert [each["outcome"] for each in ran.json["runs"]] == ["failed", "failed"]
    assert [line.split(":")[1].strip() for line in ran.problems] == ["fedavg", "fedprox"]
    assert "serve" not in "".join(ran.problems)


@pytest.mark.usefixtures("in_process")
def test_folders_are_sites_and_need_no_home(segmented: Path, home: Path, ecgfl: Ecgfl) -> None:
    folders = [
        option
        for place in range(SITES)
        for option in ("--folder", segmented / "files" / f"clinic-{place}")
    ]
    ran = ecgfl("--json", "simulate", *folders, *QUICK)
    assert ran.code == 0, ran.err
    assert [site["site"] for site in ran.json["sites"]] == [
        f"site-{place + 1} clinic-{place}" for place in range(SITES)
    ]
    assert all(site["held_out_patients"] == 1 for site in ran.json["sites"])
    assert ran.json["runs"][0]["rounds"][0]["dropped"] == []
    assert not home.exists()


@pytest.mark.usefixtures("in_process")
def test_every_held_out_patient_is_measured_at_any_number_of_sites(
    store: Home, ecgfl: Ecgfl
) -> None:
    assert store.catalogue.is_file()
    few, many = (ecgfl("--json", "simulate", "--sites", sites, *QUICK).json for sites in (2, 6))
    assert any(site["held_out_patients"] == 0 for site in many["sites"])
    (few_round,), (many_round,) = few["runs"][0]["rounds"], many["runs"][0]["rounds"]
    assert few_round["dropped"] == many_round["dropped"] == []
    assert [few_round["metrics"][name] for name in ("beats", "pvcs")] == [
        many_round["metrics"][name] for name in ("beats", "pvcs")
    ]
