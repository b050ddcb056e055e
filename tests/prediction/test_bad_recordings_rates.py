"""One real record at every sampling rate that recorders have, and a week of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.recording import Recording
from scipy.signal import resample

from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.prediction.pipeline import Classifier
from ecgfl_cli.prediction.prediction import Prediction

RATES = [100, 125, 128, 180, 200, 250, 256, 257.3, 300, 500, 512, 977, 1000, 2000]
MINUTES = 10
WEEK = 7 * 24 * 60 // MINUTES


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(starter_registry(), None)


def minutes_of(real_data: Path, record: str, fs: float) -> Recording:
    """Return the record's first minutes at another sampling rate."""
    whole = read(real_data / "mitdb" / f"{record}.hea")
    taken = round(MINUTES * 60 * whole.fs)
    given = round(MINUTES * 60 * fs)
    leads = [
        replace(lead, samples=resample(lead.samples[:taken], given).astype(np.float32))
        for lead in whole.leads
    ]
    return replace(whole, fs=float(fs), leads=tuple(leads), labels=None)


@pytest.fixture(scope="module")
def at_360_hz(real_data: Path, classifier: Classifier) -> dict[str, Prediction]:
    return {
        record: classifier.predict(minutes_of(real_data, record, 360)) for record in ("119", "208")
    }


@pytest.mark.parametrize("record", ["119", "208"])
@pytest.mark.parametrize("fs", RATES)
def test_beats_and_classes_are_equal_at_every_rate(
    real_data: Path,
    classifier: Classifier,
    at_360_hz: dict[str, Prediction],
    record: str,
    fs: float,
) -> None:
    expected, found = at_360_hz[record], classifier.predict(minutes_of(real_data, record, fs))
    assert expected.ectopy.beats > 600
    assert expected.ectopy.pvcs > 20
    apart = np.abs(found.samples[:, None] / fs - expected.samples[None, :] / 360)
    # Within the search for the R peak: of two deflections of nearly the same height either may win.
    assert (apart.min(axis=1) < 0.08).mean() > 0.997
    assert (apart.min(axis=0) < 0.08).mean() > 0.997
    agreed = np.array(found.symbols) == np.array(expected.symbols)[apart.argmin(axis=1)]
    assert agreed.mean() > 0.995
    assert found.ectopy.pvcs == pytest.approx(expected.ectopy.pvcs, rel=0.01)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_week_has_the_same_beats_every_ten_minutes(
    real_data: Path, classifier: Classifier, at_360_hz: dict[str, Prediction]
) -> None:
    fs = 200
    once = minutes_of(real_data, "119", fs)
    samples = once.leads[0].samples
    lead = replace(once.leads[0], samples=np.tile(samples, WEEK))
    found = classifier.predict(replace(once, leads=(lead,)))
    assert found.length == 7 * 24 * 3600 * fs
    numbers = np.bincount(found.samples // samples.size, minlength=WEEK)
    expected = at_360_hz["119"].ectopy.beats
    assert np.abs(numbers - expected).max() <= 2
    assert found.ectopy.pvcs == pytest.approx(WEEK * at_360_hz["119"].ectopy.pvcs, rel=0.05)
    # The last tile lies where the first one lies in its own ten minutes: nothing has drifted.
    first, last = (
        found.samples[found.samples // samples.size == tile] % samples.size
        for tile in (1, WEEK - 2)
    )
    assert np.abs(first[:, None] - last[None, :]).min(axis=1).max() <= 1
