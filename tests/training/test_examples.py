"""Which beats a network learns from."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import annotated_beats, detected_beats
from ecgfl_cli.beats.sample import LEARNED
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.models.architecture import PVC, architecture
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.segment import segment
from ecgfl_cli.training.dataset import load_dataset
from ecgfl_cli.training.examples import examples_of, examples_of_patients
from ecgfl_cli.training.local import measure

ECGNET = architecture("ecgnet")


def beats_with(symbols: str):
    """The inner beats of a recording, labelled with these symbols in turn."""
    recording = synthesise(2, 40, 360, pvc_share=0.0)
    inner = [
        label for label in recording.labels or () if 360 < label.sample < recording.length - 360
    ]
    labels = tuple(
        BeatLabel(label.sample, symbols[place % len(symbols)])
        for place, label in enumerate(inner[: len(symbols)])
    )
    assert len(labels) == len(symbols)
    return annotated_beats(replace(recording, labels=labels), recording.leads[:1], ECGNET.window)[0]


def test_fusion_and_unclassifiable_beats_are_left_out() -> None:
    examples = examples_of([beats_with("NFVQSf/LEA")], ECGNET)
    assert len(examples) == 6
    assert examples.is_pvc.tolist() == [False, True, False, False, True, False]
    assert [array.shape for array in examples.inputs()] == [(6, 185)]


def test_unlabelled_beats_are_left_out() -> None:
    recording = synthesise(2, 40, 360)
    assert (
        len(examples_of([detected_beats(recording, recording.leads[:1], ECGNET.window)[0]], ECGNET))
        == 0
    )


def test_unreadable_beats_are_left_out() -> None:
    recording = synthesise(2, 40, 360, pvc_share=0.0)
    samples = recording.leads[0].samples.copy()
    samples[10 * 360 : 14 * 360] = np.nan
    gapped = replace(recording, leads=(replace(recording.leads[0], samples=samples),))
    beats = annotated_beats(gapped, gapped.leads[:1], ECGNET.window)[0]
    examples = examples_of([beats], ECGNET)
    assert 0 < len(examples) == int(beats.readable.sum()) < beats.samples.size
    assert all(np.isfinite(array).all() for array in examples.inputs())


def test_examples_of_several_records_stand_one_behind_the_other() -> None:
    one, other = beats_with("NVN"), beats_with("VV")
    assert examples_of([one, other], ECGNET).is_pvc.tolist() == [False, True, False, True, True]


def test_an_empty_store_has_no_examples() -> None:
    examples = examples_of([], ECGNET)
    assert len(examples) == 0
    assert len(examples.inputs()) == len(ECGNET.inputs)


def test_a_network_that_tells_more_kinds_apart_is_told_them() -> None:
    beatnet = architecture("beatnet")
    beats = beats_with("NSVNVA")
    beats.classes[0] = NoClass.NOT_A_BEAT
    assert examples_of([beats], ECGNET).kind.tolist() == [0, 0, 1, 0, 1, 0]
    assert examples_of([beats], replace(beatnet, inputs=("windows",))).kind.tolist() == [
        *(
            LEARNED.index(each)
            for each in (
                NoClass.NOT_A_BEAT,
                BeatClass.S,
                BeatClass.V,
                BeatClass.N,
                BeatClass.V,
                BeatClass.S,
            )
        ),
    ]
    assert LEARNED[PVC] == BeatClass.V


def test_weight_of_a_class_grows_with_the_root_of_its_beats() -> None:
    examples = examples_of([beats_with("NNNNNNNNNV"), beats_with("VVVV")], ECGNET)
    of_normal, alone, of_four = examples.weight[0], examples.weight[9], examples.weight[10]
    assert examples.weight.mean() == pytest.approx(1.0)
    assert (alone / of_normal, alone / of_four) == (pytest.approx(3.0), pytest.approx(2.0))


@pytest.mark.parametrize("records", [[], [beats_with("F")]], ids=["no record", "no usable beat"])
def test_measuring_on_no_examples_gives_no_figures(records: list) -> None:
    """A site with one patient holds nobody out."""
    measured = measure(ECGNET.build(), [examples_of(records, ECGNET)])
    assert (measured.beats, measured.pvcs, measured.loss) == (0, 0, 0.0)
    assert measured.sensitivity is None
    assert measured.precision is None


def test_examples_in_a_file_equal_those_in_memory(tmp_path: Path) -> None:
    beatnet = architecture("beatnet")
    record = synthesise(7, 60, 250, pvc_share=0.2)
    leads = annotated_beats(record, record.leads, beatnet.window)
    held, filed = examples_of(leads, beatnet), examples_of(leads, beatnet, tmp_path / "beats")
    places = np.random.default_rng(0).permutation(len(held))[:50]
    for one, other in zip(
        (*held.inputs(places), *held.inputs()),
        (*filed.inputs(places), *filed.inputs()),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other, strict=True)
    np.testing.assert_array_equal(held.kind, filed.kind)
    del filed
    assert list((tmp_path / "beats").iterdir()) == []


def test_each_row_has_the_index_of_its_patient(tmp_path: Path) -> None:
    leads = [
        (1, beats_with("NNV")),
        (0, beats_with("NF")),
        (1, beats_with("V")),
        (2, beats_with("N")),
    ]
    for folder in (None, tmp_path):
        examples = examples_of_patients(leads, ECGNET, folder)
        assert examples.patient.tolist() == [1, 1, 1, 0, 1, 2]
        assert examples.patient.dtype == np.int64
    assert examples_of([beats_with("NV"), beats_with("N")], ECGNET).patient.tolist() == [0, 0, 0]
    assert examples_of([], ECGNET).patient.shape == (0,)


def test_patients_are_numbered_in_the_order_of_records(
    site: Path, ecgfl: Callable[..., Any], export: Any
) -> None:
    for seed in range(1, 5):
        assert ecgfl("ingest", export(seed)).code == 0
    dataset = load_dataset(Home(site), ECGNET)
    with open_catalogue(site / "catalogue.sqlite") as catalogue:
        segmented = list(segment(Home(site), catalogue, ECGNET.window))
    train = [item for item in segmented if item.split == "train"]
    number = {item.row.patient: place for place, item in enumerate(train)}
    assert 1 < len(train) == len(number)
    expected = [
        number[item.row.patient]
        for item in train
        for lead in item.learned()
        for _ in range(len(lead))
    ]
    assert dataset.train.patient[: len(expected)].tolist() == expected
    assert set(dataset.train.patient.tolist()) == set(number.values())
