"""Recorders' noise, and what beats found in it are called."""

from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel, Recording

from ecgfl_cli.beats.aami import NoClass, classify
from ecgfl_cli.beats.beats import (
    LABELLED_SECONDS,
    MATCH_SECONDS,
    MOST_NOISE,
    Beats,
    annotated_beats,
    detected_beats,
)
from ecgfl_cli.beats.recorder_noise import (
    LEVELS,
    MODEL_FS,
    MODELS,
    STRETCH_SECONDS,
    Kind,
    noise_of,
    recorder_noise,
    worse_recorded,
)
from ecgfl_cli.beats.window import Window
from ecgfl_cli.demo.synthesiser import synthesise

WINDOW = Window(fs=128, before=51, after=77)
FS = 250


@pytest.mark.parametrize("kind", MODELS)
def test_noise_is_of_unit_variance_and_of_its_seed(kind: Kind) -> None:
    noise = recorder_noise(kind, 50_000, np.random.default_rng(1))
    assert (noise.shape, noise.dtype) == ((50_000,), np.float32)
    assert noise.std() == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_array_equal(noise, recorder_noise(kind, 50_000, np.random.default_rng(1)))
    assert not np.array_equal(noise, recorder_noise(kind, 50_000, np.random.default_rng(2)))


@pytest.mark.parametrize("kind", MODELS)
def test_noise_has_the_autocorrelation_of_its_model(kind: Kind) -> None:
    """Yule-Walker on what was drawn finds the model again."""
    noise = recorder_noise(kind, 200_000, np.random.default_rng(0)).astype(np.float64)
    order = len(MODELS[kind])
    lags = np.array([noise[lag:] @ noise[: noise.size - lag] for lag in range(order + 1)])
    matrix = lags[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))]
    assert np.linalg.solve(matrix, lags[1:]) == pytest.approx(MODELS[kind], abs=0.02)


@pytest.mark.parametrize("fs", [MODEL_FS, 360.0])
@pytest.mark.parametrize("height", [0.2, 3.0])
def test_stretches_are_quiet_or_noisy_as_the_r_peaks_are_high(fs: float, height: float) -> None:
    stretch = round(STRETCH_SECONDS * fs)
    lead = np.zeros(40 * stretch + 5, dtype=np.float32)
    peaks = np.arange(20, lead.size, round(fs))
    lead[peaks] = height
    noise = worse_recorded(lead, peaks, fs, seed=3) - lead
    assert noise.shape == lead.shape
    margin = round(fs / 10)
    levels = (
        np.array(
            [
                noise[place * stretch + margin : (place + 1) * stretch - margin].std()
                for place in range(40)
            ]
        )
        / height
    )
    quiet = levels < 1e-6
    assert 10 <= quiet.sum() <= 30
    assert levels[~quiet].min() > 0.5 * LEVELS[0]
    assert 0.5 * LEVELS[1] < levels[~quiet].max() < 1.3 * LEVELS[1]


def test_noise_leaves_gaps_and_is_the_same_for_the_same_seed() -> None:
    lead = np.sin(np.arange(20_000) / 9).astype(np.float32)
    lead[500:700] = np.nan
    peaks = np.arange(14, 20_000, 57)
    found = worse_recorded(lead, peaks, MODEL_FS, seed=1)
    assert np.flatnonzero(np.isnan(found)).tolist() == list(range(500, 700))
    np.testing.assert_array_equal(found, worse_recorded(lead, peaks, MODEL_FS, seed=1))
    assert not np.array_equal(found, worse_recorded(lead, peaks, MODEL_FS, seed=2), equal_nan=True)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthesise(5, 180, FS, pvc_share=0.15)


def noisy(recording: Recording, labels: list[BeatLabel]) -> Beats:
    return annotated_beats(replace(recording, labels=tuple(labels)), recording.leads[:1], WINDOW)[
        -1
    ]


def test_one_lead_is_cut_as_it_is_and_noisy_and_two_also_mixed(recording: Recording) -> None:
    lead = recording.leads[0]
    other = replace(lead, samples=np.roll(lead.samples, 3))
    assert len(annotated_beats(recording, [lead], WINDOW)) == 2
    views = annotated_beats(recording, [lead, other], WINDOW)
    assert len(views) == 2 + 2 + 2
    assert len({view.windows.tobytes() for view in views}) == 6


def test_detections_in_noise_match_labels_one_to_one(
    recording: Recording,
) -> None:
    labels = list(recording.labels or ())
    beats = noisy(recording, labels)
    places = np.array([label.sample for label in labels])
    of = [int(np.abs(places - sample).argmin()) for sample in beats.samples]
    matched = [place for place, symbol in enumerate(beats.symbols) if symbol]
    assert len(matched) > 0.8 * len(labels)
    assert len({of[place] for place in matched}) == len(matched)
    for place in matched:
        assert abs(places[of[place]] - beats.samples[place]) <= MATCH_SECONDS * FS + 2
        assert beats.symbols[place] == labels[of[place]].symbol
        assert beats.classes[place] == classify(beats.symbols[place])
    assert {"N", "V"} == {beats.symbols[place] for place in matched}


def test_detection_between_close_labels_is_not_a_beat(
    recording: Recording,
) -> None:
    labels = list(recording.labels or ())
    left_out = labels[10:-10:6]
    beats = noisy(recording, [label for label in labels if label not in left_out])
    found = [
        beats.classes[np.abs(beats.samples - label.sample) <= MATCH_SECONDS * FS]
        for label in left_out
    ]
    assert sum(classes.size for classes in found) > 0.8 * len(left_out)
    assert set(np.concatenate(found).tolist()) == {NoClass.NOT_A_BEAT}


def test_a_detection_where_nobody_has_labelled_is_unknown(recording: Recording) -> None:
    labels = list(recording.labels or ())
    start, stop = 60 * FS, 90 * FS
    assert stop - start > LABELLED_SECONDS * FS
    beats = noisy(recording, [label for label in labels if not start < label.sample < stop])
    inside = (beats.samples > start + FS) & (beats.samples < stop - FS)
    assert inside.sum() > 20
    assert set(beats.classes[inside].tolist()) == {NoClass.UNLABELLED}
    unlabelled = noisy(recording, [])
    assert set(unlabelled.classes.tolist()) == {NoClass.UNLABELLED}


def test_a_steep_qrs_is_no_noise_and_noise_is(recording: Recording) -> None:
    """The measure does not depend on the rate: the same seconds of the same lead at two rates."""
    for fs in (FS, 2 * FS):
        window = Window(fs=fs, before=round(0.4 * fs), after=round(0.6 * fs))
        beats = detected_beats(recording, recording.leads[:1], window)[0]
        assert np.nanmedian(beats.noise) < 0.3 * MOST_NOISE
        hiss = np.random.default_rng(0).normal(0, 1, beats.windows.shape).astype(np.float32)
        assert np.nanmin(noise_of(beats.windows + hiss, fs)) > MOST_NOISE


def test_a_gap_anywhere_in_a_window_is_no_number() -> None:
    windows = np.zeros((WINDOW.length + 1, WINDOW.length), dtype=np.float32)
    np.fill_diagonal(windows, np.nan)
    assert np.isnan(noise_of(windows, WINDOW.fs)).tolist() == [True] * WINDOW.length + [False]
