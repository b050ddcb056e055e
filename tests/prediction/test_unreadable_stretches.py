"""Where a lead cannot be read, the output says so instead of guessing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.wfdb.leads import WfdbOptions

from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.prediction.pipeline import Classifier, fused

START, STOP = 120, 180
"""Seconds of the noise."""

Shares = Callable[..., tuple[float, float]]


@pytest.fixture(scope="module")
def shares(real_data: Path) -> Shares:
    """shares(noise in mV, leads): the share of Q in mitdb 100, inside nstdb's noise and outside."""
    classifier = Classifier(starter_registry(), None)
    options = ReadOptions(labels="none", format_options=(WfdbOptions(assume_gain=True),))
    clean = read(real_data / "mitdb" / "100.hea", "wfdb", options)
    noise = read(real_data / "nstdb" / "ma.hea", "wfdb", options)

    def noisy(millivolts: float, leads: tuple[int, ...]) -> Recording:
        where = slice(round(START * clean.fs), round(STOP * clean.fs))
        made = []
        for place, lead in enumerate(clean.leads):
            samples = lead.samples[: round(300 * clean.fs)].copy()
            if place in leads:
                heard = noise.leads[place].samples[where]
                samples[where] += millivolts / heard.std() * heard
            made.append(replace(lead, samples=samples))
        return replace(clean, leads=tuple(made))

    def shares(millivolts: float, leads: tuple[int, ...] = (0, 1)) -> tuple[float, float]:
        prediction = classifier.predict(noisy(millivolts, leads))
        times, is_q = prediction.samples / prediction.fs, np.array(prediction.symbols) == "Q"
        inside = (times > START + 1) & (times < STOP - 1)
        outside = ((times > 5) & (times < START - 5)) | ((times > STOP + 5) & (times < 295))
        return float(is_q[inside].mean()), float(is_q[outside].mean())

    return shares


def test_beats_in_noise_as_high_as_the_qrs_are_not_classified(shares: Shares) -> None:
    inside, outside = shares(2.0)
    assert inside > 0.8
    assert outside == 0


def test_noise_that_leaves_the_beats_legible_changes_nothing(shares: Shares) -> None:
    assert shares(0.05) == (0, 0)


def test_a_lead_that_can_be_read_stands_in_for_one_that_cannot(shares: Shares) -> None:
    """Beats are found in the first lead; the second one is noisy."""
    assert shares(2.0, leads=(1,)) == (0, 0)


def test_leads_that_cannot_be_read_have_no_say() -> None:
    nan = np.nan
    one, other = (
        np.array([1, 2, nan, nan], dtype=np.float32),
        np.array([3, nan, 4, nan], dtype=np.float32),
    )
    np.testing.assert_allclose(fused([one, other]), [2, 2, 4, nan], rtol=1e-6)
    np.testing.assert_array_equal(fused([one]), one)
