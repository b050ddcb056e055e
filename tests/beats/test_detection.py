"""The detector on real recordings, and on what is no ECG."""

from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from numpy.typing import NDArray

from ecgfl_cli.beats.aami import classify
from ecgfl_cli.beats.beats import detected_beats
from ecgfl_cli.beats.conditioning import condition
from ecgfl_cli.beats.detection import detect
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.beats.window import Window


@pytest.mark.parametrize(("record", "beats"), [("100", 2273), ("119", 1987)])
def test_detects_over_99_percent_of_beats_within_150_ms(
    real_data: Path, record: str, beats: int
) -> None:
    recording = read(real_data / "mitdb" / f"{record}.hea")
    reference = np.array(
        [label.sample for label in recording.labels or () if classify(label.symbol) is not None]
    )
    assert reference.size == beats
    found = detected_beats(
        recording, [choose_lead(recording)], Window(fs=360, before=90, after=95)
    )[0].samples
    distance = np.abs(found[:, None] - reference[None, :])
    assert (distance.min(axis=0) <= 54).mean() > 0.99
    assert (distance.min(axis=1) <= 54).mean() > 0.97


@pytest.mark.parametrize("fs", [1.0, 10.0, 50.0, 60.0, 61.0])
@pytest.mark.parametrize("seconds", [1.2, 30])
def test_a_rate_too_low_for_the_detector_is_no_crash(fs: float, seconds: float) -> None:
    """A slow trend or a short strip is for the quality checks to refuse, with a reason."""
    conditioned = np.random.default_rng(0).normal(size=round(fs * seconds)).astype(np.float32)
    assert (np.diff(detect(conditioned, fs)) > 0).all()


def minutes_of_100(real_data: Path) -> tuple[NDArray[np.float32], NDArray[np.float64], float]:
    """Five minutes of the rhythm lead, when its beats are in seconds, and its rate."""
    recording = read(real_data / "mitdb" / "100.hea")
    beats = [
        label.sample / recording.fs
        for label in recording.labels or ()
        if classify(label.symbol) is not None
    ]
    return (
        choose_lead(recording).samples[: round(300 * recording.fs)].copy(),
        np.array(beats),
        recording.fs,
    )


def times_found(samples: NDArray[np.float32], fs: float) -> NDArray[np.float64]:
    return detect(condition(samples, fs, 128.0), 128.0) / 128.0


@pytest.mark.parametrize("share", [0.04, 0.08, 0.12, 0.2])
def test_artefacts_far_larger_than_the_beats_take_no_beat_away(
    real_data: Path, share: float
) -> None:
    """Square waves of 30 mV, as a rail gives them, from the begin on."""
    samples, beats, fs = minutes_of_100(real_data)
    stop = round(share * samples.size)
    samples[:stop] += 30 * np.sign(np.sin(2 * np.pi * 2 * np.arange(stop) / fs)).astype(np.float32)
    found = times_found(samples, fs)
    named = beats[(beats > stop / fs + 10) & (beats < 299)]
    assert (np.abs(found[:, None] - named[None, :]).min(axis=0) <= 0.15).mean() > 0.98


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
def test_lead_that_is_mostly_off_has_no_detections(real_data: Path, share: float) -> None:
    samples, beats, fs = minutes_of_100(real_data)
    stop = round(share * samples.size)
    samples[:stop] = np.random.default_rng(0).normal(0, 0.003, stop)
    found = times_found(samples, fs)
    assert (found < stop / fs - 1).sum() == 0
    named = beats[(beats > stop / fs + 5) & (beats < 299)]
    assert (np.abs(found[:, None] - named[None, :]).min(axis=0) <= 0.15).mean() > 0.98
