"""Which lead is read when nobody says, and what is said when there is none of that name."""

from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording

from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.errors import UnusableInput


def of(*leads: str) -> Recording:
    return synthesise(1, 12, 250, leads=leads)


@pytest.mark.parametrize("name", ["MLII", "II", "ECG II", "Lead II", "ecg ii"])
def test_lead_two_is_taken_wherever_it_stands(name: str) -> None:
    assert choose_lead(of("V5", name)).name == name


def test_without_lead_two_it_is_the_first() -> None:
    assert choose_lead(of("V5", "V1")).name == "V5"


def test_without_lead_two_a_lead_without_signal_is_passed_over() -> None:
    recording = of("V5", "V1")
    silent = replace(
        recording.leads[0], samples=np.full(recording.length, np.nan, dtype=np.float32)
    )
    assert choose_lead(replace(recording, leads=(silent, recording.leads[1]))).name == "V1"


def test_a_lead_is_found_by_its_name_in_any_case() -> None:
    assert choose_lead(of("MLII", "V1"), "v1").name == "V1"


def test_a_lead_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UnusableInput, match=r"no lead 'V9'.*--lead: MLII, V1"):
        choose_lead(of("MLII", "V1"), "V9")
