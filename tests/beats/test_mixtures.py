"""Leads in between two recorded ones."""

import numpy as np
import pytest

from ecgfl_cli.beats.mixtures import SMALLEST_MV, mixtures, typical_height

PEAKS = np.array([100, 200, 300])


def lead_with(height: float) -> np.ndarray:
    lead = np.zeros(400, dtype=np.float32)
    lead[PEAKS] = height
    return lead


def test_both_leads_count_the_same_whatever_their_gain() -> None:
    added, taken = mixtures([lead_with(2.0), lead_with(-0.1)], [PEAKS, PEAKS])
    np.testing.assert_allclose(added, 0, atol=1e-6)
    assert taken[PEAKS] == pytest.approx(2.0)


def test_one_lead_has_no_mixture() -> None:
    assert mixtures([lead_with(1.0)], [PEAKS]) == []
    assert mixtures([], []) == []


def test_a_third_lead_is_left_alone() -> None:
    leads = [lead_with(1.0), lead_with(0.5)]
    with_third = mixtures([*leads, lead_with(9.0)], [PEAKS] * 3)
    np.testing.assert_array_equal(with_third, mixtures(leads, [PEAKS, PEAKS]))


def test_a_gap_stays_a_gap() -> None:
    one, other = lead_with(1.0), lead_with(1.0)
    one[:150] = np.nan
    for mixed in mixtures([one, other], [PEAKS, PEAKS]):
        assert np.isnan(mixed[:150]).all()
        assert np.isfinite(mixed[150:]).all()


def test_typical_height_is_robust_and_positive() -> None:
    assert typical_height(np.array([1, -1, 1, 1, 50, np.nan], dtype=np.float32)) == 1.0
    assert typical_height(np.zeros(5, dtype=np.float32)) == SMALLEST_MV
    assert typical_height(np.full(3, np.nan, dtype=np.float32)) == 1.0
