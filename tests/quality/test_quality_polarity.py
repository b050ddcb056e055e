"""Leads that point another way than their names promise."""

from collections.abc import Callable

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Severity

Damage = Callable[..., Recording]


def checked(recording: Recording) -> list[tuple[str, Severity, str | None]]:
    detected = np.array([label.sample for label in recording.labels or ()])
    return [(each.code, each.severity, each.lead) for each in check(recording, detected)]


def inverted(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    return -samples


@pytest.mark.parametrize("name", ["I", "II", "MLII", "V4", "V5", "ECG V6", "aVF"])
def test_an_upright_lead_that_points_down_is_worth_knowing(name: str, damaged: Damage) -> None:
    recording = synthesise(3, 120, 250, leads=(name, "V1"))
    assert checked(recording) == []
    assert checked(damaged(recording, inverted, leads=(0,))) == [
        ("inverted-lead", Severity.INFO, name)
    ]


def test_avr_is_expected_to_point_down(damaged: Damage) -> None:
    recording = synthesise(3, 120, 250, leads=("II", "aVR"))
    assert checked(recording) == [("inverted-lead", Severity.INFO, "aVR")]
    assert checked(damaged(recording, inverted, leads=(1,))) == []


def test_leads_whose_names_promise_nothing_may_point_anywhere(damaged: Damage) -> None:
    recording = synthesise(3, 120, 250, leads=("ECG1", "III"))
    assert checked(damaged(recording, inverted)) == []


def test_two_leads_under_each_other_s_names_are_one_warning(damaged: Damage) -> None:
    recording = synthesise(3, 120, 250, leads=("V1", "MLII"))
    exchanged = damaged(recording, inverted)
    assert checked(exchanged) == [("reversed-leads", Severity.WARNING, "MLII")]


def test_right_bundle_branch_block_alone_is_no_finding(damaged: Damage) -> None:
    recording = synthesise(3, 120, 250, leads=("MLII", "V1"))
    assert checked(damaged(recording, inverted, leads=(1,))) == []
