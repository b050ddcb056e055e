"""A model is rejected if it is worse than the best one by the margin or with confidence."""

import numpy as np
import pytest

from ecgfl_cli.models.calibration import counted
from ecgfl_cli.training.acceptance import ByPatient, judge
from ecgfl_cli.training.local import Measured

BEATS, PVCS = 1000, 100


def patient(found: int, false: int = 0, pvcs: int = PVCS) -> Measured:
    none = counted(np.empty(0, np.float32))
    return Measured(BEATS, pvcs, found, false, 0.1, none, none)


def patients(*found: int, false: int = 0) -> ByPatient:
    return {f"p{place}": patient(each, false) for place, each in enumerate(found)}


def test_f1_is_that_of_all_patients_together() -> None:
    verdict = judge(patients(90, 60, false=10), patients(100, 100), "old", 0.05)
    assert verdict.f1 == pytest.approx(2 * 150 / (2 * 150 + 50 + 20))
    assert verdict.against_f1 == 1.0
    assert verdict.difference == pytest.approx(verdict.f1 - 1.0)
    assert (verdict.patients, verdict.pvcs, verdict.against) == (2, 200, "old")


@pytest.mark.parametrize(
    ("margin", "accepted"), [(0.0, False), (0.02, False), (0.06, True), (1.0, True)]
)
def test_the_margin_decides(margin: float, accepted: bool) -> None:
    assert judge(patients(70, 100, 100), patients(90, 100, 99), "old", margin).accepted is accepted


@pytest.mark.parametrize(("margin", "accepted"), [(0.05, False), (0.99, False), (1.0, True)])
def test_a_certainly_worse_model_is_rejected_within_the_margin(
    margin: float, accepted: bool
) -> None:
    """Difference -0.041, interval -0.047 to -0.036: worse at each patient."""
    verdict = judge(patients(91, 92, 93), patients(100, 100, 100), "old", margin)
    assert verdict.interval is not None
    assert -0.05 < verdict.difference < verdict.interval[1] < 0
    assert verdict.accepted is accepted
    if not accepted:
        assert verdict.code == "interval-below-zero"
        assert "the whole interval lies below zero" in verdict.reason


def test_as_good_or_better_is_accepted_without_any_margin() -> None:
    assert judge(patients(90, 80), patients(90, 80), "old", 0.0).accepted
    assert judge(patients(95, 80), patients(90, 80), "old", 0.0).accepted


def test_the_interval_is_over_patients_and_holds_the_difference() -> None:
    verdict = judge(patients(90, 50, 100, 70), patients(100, 100, 100, 100), "old", 0.05)
    assert verdict.interval is not None
    low, high = verdict.interval
    assert low < verdict.difference < high <= 0
    assert f"{low:+.3f} to {high:+.3f}" in verdict.reason


def test_one_patient_gives_no_interval_but_a_verdict() -> None:
    verdict = judge(patients(10), patients(100), "old", 0.05)
    assert (verdict.accepted, verdict.interval) == (False, None)
    assert "no interval" in verdict.reason
    assert "acceptance_margin" in verdict.reason


def test_a_site_without_held_out_pvcs_accepts_and_says_so() -> None:
    ours, theirs = {"p": patient(0, false=500, pvcs=0)}, {"p": patient(0, pvcs=0)}
    verdict = judge(ours, theirs, "old", 0.0)
    assert verdict.accepted
    assert "untested" in verdict.reason
    assert judge({}, {}, "old", 0.0).accepted


def test_a_model_that_calls_nothing_v_is_rejected() -> None:
    verdict = judge(patients(0, 0), patients(90, 90), "old", 0.05)
    assert (verdict.accepted, verdict.f1) == (False, 0.0)
