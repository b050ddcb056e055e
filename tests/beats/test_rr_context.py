"""RR context: how early a beat comes and what follows it, whatever the heart rate."""

import numpy as np
import pytest

from ecgfl_cli.beats.rr import LARGEST, RR_FIELDS, known_intervals, on_time, rr_context

FS = 250.0
FIELD = {name: place for place, name in enumerate(RR_FIELDS)}


def peaks_of(*intervals: float) -> np.ndarray:
    """R peaks with these intervals in seconds between them."""
    return np.cumsum([0, *intervals]) * FS


def test_a_premature_beat_and_its_pause() -> None:
    found = rr_context(peaks_of(*[0.8] * 20, 0.48, 1.12, *[0.8] * 20).astype(np.int64), FS)
    early = 21
    assert found[early, FIELD["previous"]] == pytest.approx(np.log(0.6), abs=1e-5)
    assert found[early, FIELD["next"]] == pytest.approx(np.log(1.4), abs=1e-5)
    assert found[early, FIELD["contrast"]] == pytest.approx(np.log(0.6 / 1.4), abs=1e-5)
    assert found[early, FIELD["mean"]] == pytest.approx(0.0, abs=1e-5)
    assert found[early - 1, FIELD["one_after"]] == found[early, FIELD["next"]]
    assert found[early + 2, FIELD["one_before"]] == found[early + 1, FIELD["previous"]]
    assert np.flatnonzero(~on_time(found)).tolist() == [early]


def test_in_bigeminy_every_early_beat_is_told_from_the_other() -> None:
    """The median of the previous interval would call the early beats usual, or the others late."""
    found = rr_context(peaks_of(*[0.5, 1.1] * 30).astype(np.int64), FS)
    inner = slice(12, -12)
    assert np.allclose(found[inner, FIELD["rate"]], 0.0, atol=1e-5)
    assert on_time(found)[inner].tolist() == [True, False] * ((len(found) - 24) // 2) + [True] * (
        (len(found) - 24) % 2
    )


def test_the_local_rhythm_follows_a_change_of_rate() -> None:
    rate = rr_context(peaks_of(*[1.0] * 30, *[0.5] * 30).astype(np.int64), FS)[:, FIELD["rate"]]
    assert rate[:18] == pytest.approx(np.log(1.0 / 0.8), abs=1e-5)
    assert rate[-18:] == pytest.approx(np.log(0.5 / 0.8), abs=1e-5)


def test_only_the_rate_itself_depends_on_the_rate() -> None:
    intervals = np.random.default_rng(0).uniform(0.6, 1.0, 60)
    slow, fast = (
        rr_context(peaks_of(*(factor * intervals)).astype(np.int64), 10_000.0)
        for factor in (2.0, 1.0)
    )
    others = [place for name, place in FIELD.items() if name != "rate"]
    np.testing.assert_allclose(slow[:, others], fast[:, others], atol=2e-2)
    assert np.allclose(slow[:, FIELD["rate"]] - fast[:, FIELD["rate"]], np.log(2), atol=2e-2)


def test_an_irregular_rhythm_is_called_so() -> None:
    regular = rr_context(peaks_of(*[0.8] * 60).astype(np.int64), FS)
    fibrillating = rr_context(
        peaks_of(*np.random.default_rng(0).uniform(0.4, 1.2, 60)).astype(np.int64), FS
    )
    assert regular[:, FIELD["irregularity"]].max() == 0.0
    assert fibrillating[:, FIELD["irregularity"]].min() > 0.3


def test_a_pause_of_minutes_is_no_more_than_a_long_one() -> None:
    found = rr_context(peaks_of(*[0.8] * 20, 300.0, *[0.8] * 20).astype(np.int64), FS)
    assert np.isfinite(found).all()
    assert np.abs(found[:, [FIELD["previous"], FIELD["next"]]]).max() == LARGEST


def test_an_interval_across_a_gap_is_no_rr_interval() -> None:
    intervals = [0.8] * 20 + [10.3] + [0.8] * 20 + [7.0, 7.0] + [0.8] * 20
    peaks = peaks_of(*intervals).astype(np.int64)
    signal = np.zeros(peaks[-1] + 1, dtype=np.float32)
    for before in (20, 41, 42):
        signal[peaks[before] + 100 : peaks[before + 1] - 100] = np.nan
    known = known_intervals(peaks, signal, FS)
    assert np.flatnonzero(~known).tolist() == [20, 41, 42]
    found = rr_context(peaks, FS, known)
    regular = rr_context(peaks_of(*[0.8] * 20).astype(np.int64), FS)
    assert np.abs(found - regular[0]).max() < 0.01


def test_a_gap_too_short_for_a_beat_changes_nothing() -> None:
    peaks = peaks_of(*[0.8] * 10).astype(np.int64)
    signal = np.zeros(peaks[-1] + 1, dtype=np.float32)
    signal[peaks[5] + 100 : peaks[5] + 100 + round(0.09 * FS)] = np.nan
    assert known_intervals(peaks, signal, FS).all()


@pytest.mark.parametrize("beats", [0, 1])
def test_without_an_interval_nothing_is_known(beats: int) -> None:
    found = rr_context(np.arange(beats), FS)
    assert found.shape == (beats, len(RR_FIELDS))
    assert (found == 0).all()
