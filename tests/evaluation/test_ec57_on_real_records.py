"""The comparison on the reference beats of mitdb agrees with figures of other programs."""

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgfl_cli.beats.aami import classify_all
from ecgfl_cli.evaluation.annotations import BeatAnnotations
from ecgfl_cli.evaluation.ec57 import compare

FS, LENGTH, START = 360.0, 650_000, 108_000


def reference(folder: Path, record: str) -> BeatAnnotations:
    found = wfdb.rdann(str(folder / "mitdb" / record), "atr")
    return BeatAnnotations(
        found.sample.astype(np.int64), tuple(found.symbol), found.subtype.astype(np.int64)
    )


def moved(beats: BeatAnnotations, seconds: float) -> BeatAnnotations:
    return BeatAnnotations(beats.samples + round(seconds * FS), beats.symbols, beats.subtypes)


# 207 holds flutter, 232 and 203 many and close beats.
@pytest.mark.parametrize("record", ["100", "119", "203", "207", "208", "232"])
def test_a_reference_agrees_with_itself(real_data: Path, record: str) -> None:
    beats = reference(real_data, record)
    comparison = compare(beats, beats, FS, LENGTH)
    scored = beats.samples >= START
    if record == "207":
        scored &= (beats.samples < 554_682) | (beats.samples > 589_926)
    classes = classify_all(beats.symbols)[scored]
    assert (comparison.qrs_sensitivity, comparison.qrs_positive_predictivity) == (1.0, 1.0)
    assert comparison.qrs_tp == np.sum(classes >= 0)
    assert comparison.veb_tp == np.sum(classes == 2)
    assert (comparison.veb_fn, comparison.veb_fp) == (0, 0)
    assert np.array_equal(comparison.matrix, np.diag(np.diag(comparison.matrix)))


@pytest.mark.parametrize("record", ["100", "119"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_beats_100_ms_off_are_found_and_beats_200_ms_off_are_not(
    real_data: Path, record: str, sign: int
) -> None:
    beats = reference(real_data, record)
    near = compare(beats, moved(beats, sign * 0.1), FS, LENGTH)
    far = compare(beats, moved(beats, sign * 0.2), FS, LENGTH)
    # At either end of the evaluated time a shifted beat may fall out of it.
    assert near.qrs_fn <= 1
    assert near.qrs_fp <= 1
    assert near.veb_sensitivity is None or near.veb_sensitivity > 0.99
    assert far.qrs_tp == 0


def test_first_minute_of_100_equals_expected_bxb_output(
    real_data: Path,
) -> None:
    """`checkpkg/expected/bxb.out` of the WFDB package has 74 in cell Nn and 0 in all others.

    It is the output of `bxb -r 100s -a atr ann -f 0`, where 100s is the first minute of 100: QRS Se
    and +P 74/74, VEB -/0, false positive rate 0/74. bxb's default table counts S as N.
    """
    beats = reference(real_data, "100")
    first = (beats.samples < 21_600) & (classify_all(beats.symbols) >= 0)
    minute = BeatAnnotations(beats.samples[first], tuple(np.asarray(beats.symbols)[first]))
    # A detector that, like the package's, knows no classes.
    found = BeatAnnotations(minute.samples, ("N",) * minute.samples.size)
    comparison = compare(minute, found, FS, 21_600, start_s=0.0)
    assert comparison.count("Nn") + comparison.count("Sn") == comparison.matrix.sum() == 74
    assert (comparison.qrs_tp, comparison.qrs_fn, comparison.qrs_fp) == (74, 0, 0)
    assert (comparison.veb_sensitivity, comparison.veb_ppv, comparison.veb_false_positive_rate) == (
        None,
        None,
        0.0,
    )


def test_pairs_agree_with_exhaustive_search_for_distant_beats(real_data: Path) -> None:
    """Count independently: with two windows between beats, a pair is the only one in reach."""
    beats = reference(real_data, "119")
    draw = np.random.default_rng(3)
    spaced = (
        np.concatenate(([True], np.diff(beats.samples) > 160))
        & (classify_all(beats.symbols) >= 0)
        & (beats.samples > START + 100)
    )
    true, symbols = beats.samples[spaced], np.asarray(beats.symbols)[spaced]
    kept = draw.random(true.size) > 0.1
    found = true[kept] + draw.integers(-75, 76, kept.sum())
    called = np.where(draw.random(found.size) > 0.2, symbols[kept], "V")
    comparison = compare(
        BeatAnnotations(true.astype(np.int64), tuple(symbols)),
        BeatAnnotations(found, tuple(called)),
        FS,
        LENGTH,
    )
    near = np.abs(true[:, None] - found[None, :]) <= 54
    assert near.sum(axis=1).max() == near.sum(axis=0).max() == 1
    rows, columns = np.nonzero(near)
    assert comparison.qrs_tp == rows.size
    assert comparison.qrs_fn == true.size - rows.size
    assert comparison.qrs_fp == found.size - rows.size
    assert comparison.veb_tp == np.sum((symbols[rows] == "V") & (called[columns] == "V"))
    assert comparison.veb_fp == np.sum((symbols[rows] != "V") & (called[columns] == "V")) + np.sum(
        called[~near.any(axis=0)] == "V"
    )
