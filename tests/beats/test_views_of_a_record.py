"""A network is trained on each lead, on mixed leads and on leads with added noise."""

from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.recording import Recording

from ecgfl_cli.beats.aami import BeatClass, NoClass
from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.recorder_noise import LEVELS, recorder_noise, worse_recorded
from ecgfl_cli.beats.sample import LEARNED, MOST_OF_A_KIND, learnable, sample
from ecgfl_cli.models.architecture import DEFAULT, architecture

WINDOW = architecture(DEFAULT).window


@pytest.fixture(scope="module")
def recording(real_data: Path) -> Recording:
    return read(real_data / "mitdb" / "208.hea")


@pytest.fixture(scope="module")
def views(recording: Recording) -> list[Beats]:
    return annotated_beats(recording, recording.leads, WINDOW)


def test_two_leads_have_four_clean_views_of_the_same_labels(
    views: list[Beats], recording: Recording
) -> None:
    labels = [label.symbol for label in recording.labels or () if label.symbol in "NVFQ"]
    for view in views[:4]:
        assert (view.classes != NoClass.NOT_A_BEAT).all()
        assert len(view) == pytest.approx(len(labels), abs=3)
    assert len(views) > 4


def test_in_noise_detections_without_a_label_are_no_beats(views: list[Beats]) -> None:
    noisy = views[4:]
    assert any((view.classes == NoClass.NOT_A_BEAT).any() for view in noisy)
    for view in noisy:
        assert (view.classes == BeatClass.V).sum() > 500


def test_one_lead_has_no_mixture(recording: Recording) -> None:
    alone = annotated_beats(recording, recording.leads[:1], WINDOW)
    assert len(alone) < len(annotated_beats(recording, recording.leads, WINDOW))


def test_the_same_record_has_the_same_views(recording: Recording, views: list[Beats]) -> None:
    for one, other in zip(views, annotated_beats(recording, recording.leads, WINDOW), strict=True):
        np.testing.assert_array_equal(one.windows, other.windows)
        np.testing.assert_array_equal(one.classes, other.classes)


def test_a_sample_is_bounded_per_class_spread_and_in_order(views: list[Beats]) -> None:
    view = views[0]
    chosen = sample(view)
    for beat_class in LEARNED:
        assert (chosen.classes == beat_class).sum() == min(
            MOST_OF_A_KIND, (learnable(view).classes == beat_class).sum()
        )
    assert not np.isin(chosen.classes, (BeatClass.F, BeatClass.Q)).any()
    assert (np.diff(chosen.samples) > 0).all()
    assert chosen.samples[0] < 0.05 * view.samples[-1]
    assert chosen.samples[-1] > 0.95 * view.samples[-1]


def test_each_lead_gives_others_of_the_beats(views: list[Beats]) -> None:
    first, second = (set(sample(views[0], place).samples.tolist()) for place in (0, 1))
    assert len(first & second) < 0.7 * len(first)


def test_any_number_of_beats_can_be_sampled_from_any_view(views: list[Beats]) -> None:
    normal = views[0].take(np.flatnonzero(views[0].classes == BeatClass.N))
    for count in range(MOST_OF_A_KIND - 1, 3 * MOST_OF_A_KIND):
        for place in range(8):
            chosen = sample(normal.take(np.arange(count)), place)
            assert len(set(chosen.samples.tolist())) == min(count, MOST_OF_A_KIND), (count, place)


@pytest.mark.parametrize("kind", ["wander", "muscle"])
def test_noise_has_unit_variance_and_the_band_of_its_kind(kind: str) -> None:
    noise = recorder_noise(kind, 1 << 15, np.random.default_rng(0))  # type: ignore[arg-type]
    assert noise.std() == pytest.approx(1.0, abs=1e-3)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[: power.size // 4].sum() > power[power.size // 2 :].sum()


@pytest.mark.parametrize("fs", [128.0, 360.0])
def test_worse_recording_is_noisy_in_parts(fs: float) -> None:
    lead = np.zeros(round(600 * fs), dtype=np.float32)
    peaks = np.arange(round(fs), lead.size, round(fs))
    lead[peaks] = 2.0
    heard = worse_recorded(lead, peaks, fs, seed=0) - lead
    seconds = heard[: 600 * round(fs)].reshape(-1, round(fs)).std(axis=1) / 2.0
    assert 0.2 < (seconds < 1e-3).mean() < 0.8
    assert LEVELS[0] / 2 < np.median(seconds[seconds > 1e-3]) < LEVELS[1] * 1.5
    np.testing.assert_array_equal(worse_recorded(lead, peaks, fs, seed=0) - lead, heard)
