"""Each lead's defects: a warning while another lead is left, an error when none is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, Severity

Samples = NDArray[np.float32]
Beats = NDArray[np.int64]
Damage = Callable[..., Recording]


def absent(samples: Samples) -> Samples:
    samples[: int(0.7 * samples.size)] = np.nan
    return samples


def flat(samples: Samples) -> Samples:
    return np.full_like(samples, 0.25)


def saturated(samples: Samples) -> Samples:
    """An amplifier at its rail for three quarters of each second."""
    samples[np.arange(samples.size) % 250 < 190] = 5.0
    return samples


def swinging(samples: Samples) -> Samples:
    """A loose electrode swings by 40 mV in three seconds of four; the QRS itself keeps its size."""
    time = np.arange(samples.size) / 250
    return samples + np.where(time % 40 < 30, 20 * np.sin(2 * np.pi * time / 3), 0.0).astype(
        np.float32
    )


DEFECTS = {
    "no-signal": absent,
    "flat-lead": flat,
    "saturation": saturated,
    "implausible-swings": swinging,
}


def of(findings: list[Finding], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]


@pytest.mark.parametrize(("code", "change"), DEFECTS.items())
def test_one_bad_lead_is_a_warning_that_names_it(
    code: str, change: Callable[[Samples], Samples], clean: Recording, beats: Beats, damaged: Damage
) -> None:
    findings = check(damaged(clean, change, leads=(1,)), beats)
    (found,) = of(findings, code)
    assert (found.severity, found.lead) == (Severity.WARNING, "V1")
    assert "--lead NAME" in found.fix
    assert found.start_s is not None
    assert Severity.ERROR not in {finding.severity for finding in findings}


@pytest.mark.parametrize(("code", "change"), DEFECTS.items())
def test_the_same_defect_in_every_lead_is_one_error(
    code: str, change: Callable[[Samples], Samples], clean: Recording, beats: Beats, damaged: Damage
) -> None:
    (found,) = of(check(damaged(clean, change), beats), code)
    assert (found.severity, found.lead) == (Severity.ERROR, None)


def test_leads_lost_to_different_defects_leave_none_to_use(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    findings = check(damaged(damaged(clean, flat, leads=(0,)), absent, leads=(1,)), beats)
    (found,) = of(findings, "no-usable-lead")
    assert found.severity is Severity.ERROR
    assert "MLII: flat-lead" in found.message
    assert "V1: no-signal" in found.message


def test_infinite_samples_are_an_error(clean: Recording, beats: Beats, damaged: Damage) -> None:
    def divide_by_nothing(samples: Samples) -> Samples:
        samples[[10, 20]] = [np.inf, -np.inf]
        return samples

    (found,) = check(damaged(clean, divide_by_nothing, leads=(1,)), beats)
    assert (found.code, found.severity, found.lead, found.value) == (
        "non-finite",
        Severity.ERROR,
        "V1",
        2.0,
    )


@pytest.mark.parametrize(
    ("factor", "hint"),
    [(1000.0, "--units uV"), (200.0, "--units adc:GAIN"), (0.001, "--units V")],
    ids=["uV", "counts", "V"],
)
def test_a_wrong_unit_is_one_error_that_proposes_the_right_one(
    factor: float, hint: str, clean: Recording, beats: Beats, damaged: Damage
) -> None:
    wrong = damaged(clean, lambda samples: samples * np.float32(factor))
    wrong = replace(
        wrong, leads=tuple(replace(lead, step_mv=lead.step_mv * factor) for lead in wrong.leads)
    )
    (found,) = check(wrong, beats)
    assert (found.code, found.severity) == ("implausible-amplitude", Severity.ERROR)
    assert hint in found.fix


def test_a_wrong_unit_is_seen_even_without_beats(clean: Recording, damaged: Damage) -> None:
    findings = check(damaged(clean, lambda samples: samples * 1000), np.empty(0, dtype=np.int64))
    assert {"implausible-amplitude", "too-few-beats"} == {finding.code for finding in findings}


def test_one_faint_lead_is_a_warning(clean: Recording, beats: Beats, damaged: Damage) -> None:
    (found,) = check(damaged(clean, lambda samples: samples * 0.03, leads=(1,)), beats)
    assert (found.code, found.severity, found.lead) == (
        "implausible-amplitude",
        Severity.WARNING,
        "V1",
    )


def test_peaks_cut_off_are_clipping_and_not_saturation(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    findings = check(
        damaged(clean, lambda samples: np.minimum(samples, 0.6 * samples.max()), leads=(0,)), beats
    )
    (found,) = findings
    assert (found.code, found.severity, found.lead) == ("clipping", Severity.WARNING, "MLII")


def test_saturation_reports_its_longest_stretch(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    def saturate(samples: Samples) -> Samples:
        samples[10_000:10_100] = 5.0
        samples[20_000:20_050] = 5.0
        return samples

    (found,) = check(damaged(clean, saturate, leads=(0,)), beats)
    assert (found.code, found.severity, found.lead) == ("saturation", Severity.WARNING, "MLII")
    assert (found.start_s, found.stop_s) == (40.0, 40.4)
    assert found.value == pytest.approx(150 / 30_000)


@pytest.mark.parametrize("value", [np.nan, 0.0, 5.0], ids=["absent", "flat", "at a rail"])
def test_an_electrode_that_comes_off_twice_is_one_finding(
    value: float, clean: Recording, beats: Beats, damaged: Damage
) -> None:
    def off(samples: Samples) -> Samples:
        samples[5000:8000] = value
        samples[20_000:24_000] = value
        return samples

    (found,) = check(damaged(clean, off, leads=(1,)), beats)
    assert (found.code, found.severity, found.lead) == ("lead-off", Severity.WARNING, "V1")
    assert (found.start_s, found.stop_s) == (80.0, 96.0)
    assert "2 times" in found.message
    assert found.value == pytest.approx(28 / 120)


def test_short_lead_off_is_information(damaged: Damage) -> None:
    recording = synthesise(3, 600, 250)

    def off(samples: Samples) -> Samples:
        samples[5000:8000] = np.nan
        return samples

    (found,) = check(
        damaged(recording, off, leads=(1,)),
        np.array([label.sample for label in recording.labels or ()]),
    )
    assert (found.code, found.severity) == ("lead-off", Severity.INFO)


def test_intermittent_cable_failure_is_no_signal(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    (found,) = check(
        damaged(
            clean,
            lambda samples: np.where(np.arange(30_000) % 5000 < 1000, np.nan, samples),
            leads=(1,),
        ),
        beats,
    )
    assert (found.code, found.severity) == ("no-signal", Severity.WARNING)
    assert found.value == pytest.approx(0.2)


def test_a_lead_written_twice_is_a_warning(clean: Recording, beats: Beats) -> None:
    twice = replace(clean, leads=(clean.leads[0], replace(clean.leads[0], name="II")))
    (found,) = check(twice, beats)
    assert (found.code, found.severity, found.lead, found.value) == (
        "identical-leads",
        Severity.WARNING,
        "II",
        "MLII",
    )
