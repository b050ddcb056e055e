"""Conditioning: band-pass and one rate, with every gap where it was."""

import numpy as np
import pytest

from ecgfl_cli.beats.conditioning import condition, pieces
from ecgfl_cli.demo.synthesiser import synthesise

FS = 250.0


@pytest.fixture(scope="module")
def lead() -> np.ndarray:
    return synthesise(3, 30, FS).leads[0].samples


def test_pieces_are_the_stretches_without_nan() -> None:
    samples = np.array([np.nan, 1, 2, np.nan, np.nan, 3], dtype=np.float32)
    assert pieces(samples) == [slice(1, 3), slice(5, 6)]
    assert pieces(np.full(4, np.nan, dtype=np.float32)) == []


@pytest.mark.parametrize("target", [125.0, 250.0, 360.0, 500.0])
def test_a_gap_stays_a_gap_at_every_rate(lead: np.ndarray, target: float) -> None:
    samples = lead.copy()
    samples[2500:3000] = np.nan
    absent = np.isnan(condition(samples, FS, target))
    assert absent.size == 30 * target
    assert absent[round(10 * target) : round(12 * target)].all()
    assert not absent[: round(10 * target) - 1].any()
    assert not absent[round(12 * target) + 1 :].any()


def test_what_lies_behind_a_gap_has_no_influence_on_what_lies_before(lead: np.ndarray) -> None:
    one, other = lead.copy(), lead.copy()
    one[2500:2510] = other[2500:2510] = np.nan
    other[2510:] = 100 * lead[2510:] + 7
    np.testing.assert_array_equal(condition(one, FS, 360)[: round(9.9 * 360)], condition(other, FS, 360)[: round(9.9 * 360)])


def test_a_piece_too_short_for_a_beat_is_a_gap(lead: np.ndarray) -> None:
    samples = lead.copy()
    samples[2500:2600] = samples[2800:2900] = np.nan
    assert np.isnan(condition(samples, FS, 360)[(10 * 360) : round(11.6 * 360) - 1]).all()


@pytest.mark.parametrize("target", [128.0, 360.0])
def test_an_r_peak_keeps_its_time(target: float) -> None:
    samples = np.zeros(2500, dtype=np.float32)
    time = (np.arange(2500) - 1000) / FS
    samples += np.exp(-((time / 0.012) ** 2)).astype(np.float32)
    peak = int(np.argmax(condition(samples, FS, target)))
    assert abs(peak / target - 4.0) <= 1 / target


def test_baseline_and_mains_hum_go_and_the_qrs_stays() -> None:
    time = np.arange(2500) / FS
    wander, hum = 2 * np.sin(2 * np.pi * 0.1 * time), 0.5 * np.sin(2 * np.pi * 60 * time)
    middle = slice(3 * 360, 7 * 360)
    # A second-order Butterworth, forwards and backwards, leaves about 1 / (1 + (60 / 40)^4) of the hum.
    assert np.abs(condition(wander.astype(np.float32), FS, 360)[middle]).max() < 0.05
    assert np.abs(condition(hum.astype(np.float32), FS, 360)[middle]).max() < 0.1
    ten = np.sin(2 * np.pi * 10 * time).astype(np.float32)
    assert np.abs(condition(ten, FS, 360)[middle]).max() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("fs", [1.0, 1.05, 2.0, 10.0, 14.0])
def test_a_rate_too_low_for_an_ecg_is_no_crash(fs: float) -> None:
    """A 10 Hz trend named "II" is for the quality checks to refuse, with a reason."""
    samples = np.random.default_rng(0).normal(size=round(5 * fs) + 1).astype(np.float32)
    assert condition(samples, fs, fs).size == samples.size
