"""`align`: both detections and annotations go to the largest deflection nearby."""

import numpy as np
import pytest

from ecgfl_cli.beats.detection import align

FS = 250.0


def signal(**peaks: float) -> np.ndarray:
    """s100=-2.0 puts -2 mV at sample 100 of four quiet seconds."""
    samples = np.zeros(1000, dtype=np.float32)
    for place, height in peaks.items():
        samples[int(place[1:])] = height
    return samples


@pytest.mark.parametrize(("up", "down", "expected"), [(1.0, -2.0, 210), (2.0, -1.0, 200)])
def test_the_larger_deflection_wins_whatever_its_polarity(
    up: float, down: float, expected: int
) -> None:
    assert align(signal(s200=up, s210=down), np.array([205]), FS).tolist() == [expected]


def test_a_deflection_farther_than_80_ms_is_another_matter() -> None:
    conditioned = signal(s200=1.0, s226=9.0)
    assert align(conditioned, np.array([205]), FS).tolist() == [200]
    assert align(conditioned, np.array([206]), FS).tolist() == [226]


def test_of_two_peaks_in_the_refractory_time_the_larger_stays() -> None:
    assert align(signal(s200=1.0, s245=2.0), np.array([200, 245]), FS).tolist() == [245]
    assert align(signal(s200=2.0, s245=1.0), np.array([200, 245]), FS).tolist() == [200]
    assert align(signal(s200=1.0, s250=2.0), np.array([200, 250]), FS).tolist() == [200, 250]


def test_two_candidates_of_one_beat_are_one_beat() -> None:
    assert align(signal(s200=1.0), np.array([195, 204]), FS).tolist() == [200]


def test_candidates_outside_the_signal_are_left_out() -> None:
    assert align(signal(s200=1.0), np.array([-5, 200, 1000, 4000]), FS).tolist() == [200]
    assert align(signal(), np.empty(0, dtype=np.int64), FS).tolist() == []


def test_a_peak_stays_inside_the_signal_at_both_ends() -> None:
    assert align(signal(s0=1.0, s999=1.0), np.array([3, 995]), FS).tolist() == [0, 999]


def test_a_gap_is_no_deflection() -> None:
    conditioned = signal(s200=1.0)
    conditioned[202:230] = np.nan
    assert align(conditioned, np.array([205]), FS).tolist() == [200]
