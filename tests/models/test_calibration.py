"""Calibration and threshold from counts by logit alone."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from ecgfl_cli.models.calibration import (
    COUNTS,
    EDGES,
    FEWEST,
    UNCALIBRATED,
    USUAL_THRESHOLD,
    Calibration,
    counted,
    enough,
    fit,
)


def simulated(
    scale: float, offset: float, beats: int = 200_000
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return counts of others and PVCs for a given calibration, and the probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(-2, 3, beats)
    probability = expit(scale * logits + offset)
    is_pvc = random.uniform(size=beats) < probability
    found = logits.astype(np.float32)
    return counted(found[~is_pvc]), counted(found[is_pvc]), probability


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.5, 1.0), (2.0, -1.5)])
def test_the_fit_finds_what_the_logits_are_worth(scale: float, offset: float) -> None:
    others, pvcs, _ = simulated(scale, offset)
    calibration, _ = fit(others, pvcs)
    assert calibration.scale == pytest.approx(scale, rel=0.05)
    assert calibration.offset == pytest.approx(offset, abs=0.06)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.5, 1.0), (2.0, -1.5)])
def test_half_is_the_threshold_with_the_best_f1(scale: float, offset: float) -> None:
    others, pvcs, probability = simulated(scale, offset)
    _, threshold = fit(others, pvcs)

    def f1(at: float) -> float:
        called = probability > at
        return float(2 * probability[called].sum() / (called.sum() + probability.sum()))

    assert f1(threshold) > max(f1(at) for at in np.linspace(0.02, 0.98, 49)) - 0.003


def test_every_logit_is_counted_once_the_wild_ones_at_the_ends() -> None:
    logits = np.array([-1e9, -7.1, -7.0, 0.0, 0.49, 6.99, 7.0, 1e9], dtype=np.float32)
    counts = counted(logits)
    assert counts.shape == (COUNTS,) == (EDGES.size + 1,)
    assert counts.sum() == logits.size
    assert (counts[0], counts[-1]) == (2, 2)
    assert counts[np.searchsorted(EDGES, 0.0) + 1] == 2


def test_a_few_beats_of_a_kind_are_not_enough() -> None:
    few, many = counted(np.zeros(FEWEST - 1, np.float32)), counted(np.zeros(FEWEST, np.float32))
    assert enough(many, many)
    assert not enough(few, many)
    assert not enough(many, few)


def test_logits_that_say_the_opposite_are_not_turned_round() -> None:
    """A network that is worse than chance is not made good by a sign."""
    low, high = (counted(np.full(500, value, dtype=np.float32)) for value in (-4.0, 4.0))
    calibration, threshold = fit(high, low)
    assert calibration == UNCALIBRATED
    assert threshold == 0.5


def test_probabilities_of_unreadable_beats_stay_unknown() -> None:
    found = Calibration(scale=2.0, offset=-1.0).probabilities(
        np.array([0.5, np.nan, 1e9, -1e9], dtype=np.float32)
    )
    np.testing.assert_allclose(found, [0.5, np.nan, 1.0, 0.0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": float("nan")},
        {"offset": 1e9},
        {"offset": float("inf")},
    ],
)
def test_a_manifest_cannot_carry_a_wild_calibration(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Calibration(**wrong)


def test_a_model_that_finds_nothing_keeps_the_usual_threshold() -> None:
    """Every logit below the lowest edge: a threshold of 0 would call every beat V."""
    others, pvcs = np.zeros(COUNTS, dtype=np.int64), np.zeros(COUNTS, dtype=np.int64)
    others[0], pvcs[0] = 20_000, 500
    assert fit(others, pvcs) == (UNCALIBRATED, USUAL_THRESHOLD)
