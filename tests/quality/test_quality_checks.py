"""All checks together: silence on a clean recording, calm on a strange one."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel, Lead, Recording
from numpy.typing import NDArray

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Severity
from ecgfl_cli.quality.limits import Limits

Beats = NDArray[np.int64]
Damage = Callable[..., Recording]
NO_BEATS = np.empty(0, dtype=np.int64)


def test_a_clean_recording_has_no_findings(clean: Recording, beats: Beats) -> None:
    assert check(clean, beats) == []


@pytest.mark.parametrize("seed", range(8))
def test_no_synthesised_patient_has_findings(seed: int) -> None:
    recording = synthesise(seed, 60, 360)
    assert check(recording, np.array([label.sample for label in recording.labels or ()])) == []


def test_findings_come_worst_first(clean: Recording, beats: Beats, damaged: Damage) -> None:
    recording = replace(damaged(clean, lambda samples: samples * 1000), labels=None)
    recording = damaged(
        recording, lambda samples: np.where(np.arange(samples.size) < 5000, np.nan, samples)
    )
    ranks = [finding.severity.rank for finding in check(recording, beats)]
    assert len(set(ranks)) == 3
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("what", "change"),
    {
        "nothing but NaN": lambda samples: np.full_like(samples, np.nan),
        "constant": lambda samples: np.full_like(samples, 1.5),
        "infinite": lambda samples: np.full_like(samples, -np.inf),
        "as large as float32 goes": lambda samples: np.where(
            np.arange(samples.size) % 2, 3.4e38, -3.4e38
        ),
        "two of three samples missing": lambda samples: np.where(
            np.arange(samples.size) % 3, np.nan, samples
        ),
        "one sample": lambda samples: samples[:1],
        "empty": lambda samples: samples[:0],
    }.items(),
)
@pytest.mark.parametrize("found", ["beats", "no beats"])
def test_strange_signals_are_errors_and_never_exceptions(
    what: str,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    found: str,
    clean: Recording,
    beats: Beats,
    damaged: Damage,
) -> None:
    findings = check(damaged(clean, change), beats if found == "beats" else NO_BEATS)
    assert Severity.ERROR in {finding.severity for finding in findings}, what


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf")])
def test_a_nonsensical_quantisation_step_does_no_harm(
    step: float, clean: Recording, beats: Beats
) -> None:
    recording = replace(clean, leads=tuple(replace(lead, step_mv=step) for lead in clean.leads))
    assert check(recording, beats) == []


def test_labels_at_absurd_samples_do_no_harm(clean: Recording, beats: Beats) -> None:
    labels = (BeatLabel(-(2**62), "N"), BeatLabel(2**62, "V"), BeatLabel(5, "not a symbol"))
    assert {finding.code for finding in check(replace(clean, labels=labels), beats)} == {
        "labels-outside",
        "no-labels",
    }


def test_beats_need_neither_be_sorted_nor_inside(clean: Recording, beats: Beats) -> None:
    assert check(clean, np.concatenate((beats[::-1], [-5, clean.length, 10**12]))) == []


def test_every_finding_says_what_to_do(clean: Recording, damaged: Damage) -> None:
    silent = damaged(clean, lambda samples: np.zeros_like(samples))
    for finding in check(silent, NO_BEATS):
        assert finding.message
        assert finding.fix.endswith(".")


def test_a_lead_of_its_own_is_enough(clean: Recording, beats: Beats) -> None:
    single: tuple[Lead, ...] = clean.leads[:1]
    assert check(replace(clean, leads=single), beats) == []


@pytest.mark.parametrize("bound", [0.0, 1e-6, 1e6])
def test_no_bound_that_a_site_sets_makes_a_check_fail(
    bound: float, clean: Recording, beats: Beats
) -> None:
    strange = {
        field.name: tuple([bound] * 2)
        if isinstance(field.default, tuple)
        else type(field.default)(bound)
        for field in fields(Limits)
    }
    assert isinstance(check(clean, beats, Limits(**strange)), list)
    for name, value in strange.items():
        assert isinstance(check(clean, beats, Limits(**{name: value})), list), name
