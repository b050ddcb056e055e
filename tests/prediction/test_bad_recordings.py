"""Bad recordings are predicted, without beats where there is no signal."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.prediction import Prediction

FS = 250
Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(starter_registry(), None)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Two minutes, two leads, with PVCs."""
    return synthesise(70, 120, FS, pvc_share=0.15)


def changed(recording: Recording, change: Change, leads: tuple[int, ...] = (0, 1)) -> Recording:
    """The recording with `change` applied to a copy of the samples of some of its leads."""
    made = [
        replace(lead, samples=np.asarray(change(lead.samples.copy()), dtype=np.float32))
        if place in leads
        else lead
        for place, lead in enumerate(recording.leads)
    ]
    return replace(recording, leads=tuple(made))


def part(recording: Recording, start: int, stop: int) -> Recording:
    leads = tuple(replace(lead, samples=lead.samples[start:stop]) for lead in recording.leads)
    return replace(recording, leads=leads, labels=None)


def first_lead_only(recording: Recording) -> Recording:
    return replace(recording, leads=recording.leads[:1])


def put(value: float, places: slice) -> Change:
    def change(samples: np.ndarray) -> np.ndarray:
        samples[places] = value
        return samples

    return change


def within(prediction: Prediction, start: int, stop: int) -> list[str]:
    """Symbols of the beats in samples [start, stop)."""
    placed = zip(prediction.samples.tolist(), prediction.symbols, strict=True)
    return [symbol for sample, symbol in placed if start <= sample < stop]


@pytest.mark.parametrize("seconds", [4, 6, 10])
def test_short_recording_leaves_only_edge_beats_unclassified(
    classifier: Classifier, recording: Recording, seconds: int
) -> None:
    labels = [label.sample for label in recording.labels or ()]
    start, stop = 20 * FS, (20 + seconds) * FS
    found = classifier.predict(part(recording, start, stop))
    expected = [sample - start for sample in labels if start + 5 <= sample < stop - 5]
    near = np.abs(found.samples[:, None] - np.array(expected)[None, :])
    assert (near.min(axis=0) <= 5).all()
    assert (near.min(axis=1) <= 5).all()
    window = architecture(classifier.manifest.architecture).window
    before, after = FS * window.before / window.fs, FS * window.after / window.fs
    complete = (found.samples > before + 2) & (found.samples < stop - start - after - 2)
    assert "Q" not in np.array(found.symbols)[complete]
    assert found.ectopy.beats == len(expected) < 20


@pytest.mark.parametrize("dead", [0.0, 2.5, np.nan])
def test_a_dead_lead_beside_a_good_one_does_no_harm(
    classifier: Classifier, recording: Recording, dead: float
) -> None:
    for place in (0, 1):
        found = classifier.predict(changed(recording, put(dead, slice(None)), (place,)))
        alone = classifier.predict(replace(recording, leads=(recording.leads[1 - place],)))
        assert found.leads == alone.leads
        assert found.samples.tolist() == alone.samples.tolist()
        assert found.symbols == alone.symbols


@pytest.mark.parametrize("value", [0.0, 1.7, -1e4, 1e6, np.nan, np.inf])
@pytest.mark.parametrize(
    "keep", [lambda recording: recording, first_lead_only], ids=["two leads", "one lead"]
)
def test_without_any_signal_there_is_no_beat_and_no_figure(
    classifier: Classifier,
    recording: Recording,
    value: float,
    keep: Callable[[Recording], Recording],
) -> None:
    found = classifier.predict(changed(keep(recording), put(value, slice(None))))
    assert (found.samples.size, found.symbols) == (0, ())
    assert (found.ectopy.beats, found.ectopy.pvcs, found.ectopy.burden_percent) == (0, 0, None)
    assert found.ectopy.mean_heart_rate is None


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 125, 249])
def test_less_than_a_second_has_no_beats(
    classifier: Classifier, recording: Recording, samples: int
) -> None:
    found = classifier.predict(part(recording, 5 * FS, 5 * FS + samples))
    assert found.samples.size == 0
    assert found.length == samples


@pytest.mark.parametrize("fs", [100, 128, 250, 360, 977])
@pytest.mark.parametrize("more", [0, 1, 2, 0.2, 0.5, 1.0])
def test_about_a_second_is_no_crash_and_every_beat_lies_inside(
    classifier: Classifier, fs: int, more: float
) -> None:
    """more : samples as an integer, seconds as a fraction."""
    whole = synthesise(3, 12, fs)
    length = fs + (more if isinstance(more, int) else round(more * fs))
    for start in range(5 * fs, 6 * fs, fs // 4):
        found = classifier.predict(part(whole, start, start + length))
        assert ((found.samples >= 0) & (found.samples < length)).all()
        assert (np.diff(found.samples) > 0).all()
        assert len(found.symbols) <= 6


def test_beats_away_from_gaps_are_the_same_as_without_them(
    classifier: Classifier, recording: Recording
) -> None:
    gaps = [
        slice(0, 60),
        slice(2000, 2001),
        slice(7000, 7800),
        slice(15_000, 15_300),
        slice(29_800, 30_000),
    ]

    def with_gaps(samples: np.ndarray) -> np.ndarray:
        for gap in gaps:
            samples[gap] = np.nan
        return samples

    whole, found = classifier.predict(recording), classifier.predict(changed(recording, with_gaps))
    assert [(gap.start, gap.stop) for gap in found.gaps] == [(gap.start, gap.stop) for gap in gaps]
    for gap in gaps:
        assert not within(found, gap.start, gap.stop)
    edges = [0, *(edge for gap in gaps for edge in (gap.start, gap.stop)), recording.length]
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        # Two seconds from a gap nothing of it can be seen any more; the threshold has learned the
        # same heights.
        assert within(found, start + 2 * FS, stop - 2 * FS) == within(
            whole, start + 2 * FS, stop - 2 * FS
        )
    missing = sum(gap.stop - gap.start for gap in gaps)
    assert found.ectopy.analysed_seconds == pytest.approx((recording.length - missing) / FS)


@pytest.mark.parametrize("broken", [1e6, -1e6, 3e38, np.inf, -np.inf])
def test_impossible_sample_costs_as_much_as_a_missing_one(
    classifier: Classifier, recording: Recording, broken: float
) -> None:
    places = slice(700, None, 2750)
    found = classifier.predict(changed(recording, put(broken, places)))
    missing = classifier.predict(changed(recording, put(np.nan, places)))
    assert found.samples.tolist() == missing.samples.tolist()
    assert found.symbols == missing.symbols
    assert missing.ectopy.beats > 100


def test_an_ecg_in_the_wrong_unit_has_the_same_beats(
    classifier: Classifier, recording: Recording
) -> None:
    """That the unit is wrong is for the quality checks to say."""
    whole = classifier.predict(recording)
    for scale in (50.0, 1000.0):
        found = classifier.predict(changed(recording, lambda samples, scale=scale: samples * scale))
        assert found.samples.tolist() == whole.samples.tolist()
        assert found.symbols == whole.symbols


@pytest.mark.parametrize("offset", [-300.0, 5.0, 300.0])
def test_the_electrodes_offset_changes_nothing(
    classifier: Classifier, recording: Recording, offset: float
) -> None:
    """IEC 60601-2-47 lets electrodes add 300 mV."""
    whole = classifier.predict(recording)
    found = classifier.predict(changed(recording, lambda samples: samples + np.float32(offset)))
    assert found.samples.tolist() == whole.samples.tolist()
    assert np.mean(np.array(found.symbols) == np.array(whole.symbols)) > 0.99
