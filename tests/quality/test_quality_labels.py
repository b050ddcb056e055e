"""Labels that belong to this signal, and labels that do not."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import BeatLabel, Recording
from numpy.typing import NDArray

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, Severity

Beats = NDArray[np.int64]
Damage = Callable[..., Recording]


def labelled(recording: Recording, move: Callable[[BeatLabel], BeatLabel]) -> Recording:
    return replace(recording, labels=tuple(move(label) for label in recording.labels or ()))


def of(findings: list[Finding], code: str) -> Finding:
    (found,) = [finding for finding in findings if finding.code == code]
    return found


@pytest.mark.parametrize(
    "labels",
    [None, (), (BeatLabel(100, "+"), BeatLabel(200, "~"))],
    ids=["none", "empty", "rhythm only"],
)
def test_without_beat_labels_a_recording_is_kept(
    labels: tuple[BeatLabel, ...] | None, clean: Recording, beats: Beats
) -> None:
    (found,) = check(replace(clean, labels=labels), beats)
    assert (found.code, found.severity) == ("no-labels", Severity.INFO)
    assert "--labels FILE" in found.fix


@pytest.mark.parametrize("sample", [-1, 30_000])
def test_label_outside_the_signal_is_a_warning(sample: int, clean: Recording, beats: Beats) -> None:
    (found,) = check(replace(clean, labels=(*(clean.labels or ()), BeatLabel(sample, "N"))), beats)
    assert (found.code, found.severity, found.value) == ("labels-outside", Severity.WARNING, 1.0)
    assert f"sample {sample}" in found.message


def test_a_label_on_the_last_sample_is_inside(clean: Recording, beats: Beats) -> None:
    assert (
        check(replace(clean, labels=(*(clean.labels or ()), BeatLabel(29_999, "+"))), beats) == []
    )


def test_two_beats_on_one_sample_are_a_warning(clean: Recording, beats: Beats) -> None:
    assert clean.labels is not None
    again = (clean.labels[0], BeatLabel(clean.labels[0].sample, "V"), *clean.labels[1:])
    (found,) = check(replace(clean, labels=again), beats)
    assert (found.code, found.severity, found.value) == ("labels-duplicated", Severity.WARNING, 1.0)


def test_a_rhythm_label_on_a_beat_is_no_duplicate(clean: Recording, beats: Beats) -> None:
    assert clean.labels is not None
    assert (
        check(replace(clean, labels=(BeatLabel(clean.labels[0].sample, "+"), *clean.labels)), beats)
        == []
    )


def test_labels_of_another_recording_are_an_error(clean: Recording, beats: Beats) -> None:
    found = of(
        check(replace(clean, labels=synthesise(4, 120, 250).labels), beats), "labels-off-peak"
    )
    assert found.severity is Severity.ERROR
    assert "--labels none" in found.fix


def test_labels_counted_at_another_rate_are_an_error(clean: Recording, beats: Beats) -> None:
    slower = labelled(clean, lambda label: label._replace(sample=label.sample * 200 // 250))
    found = of(check(slower, beats), "labels-off-peak")
    assert found.severity is Severity.ERROR
    assert "--fs HZ" in found.fix


def test_late_labels_are_an_error_with_the_shift(clean: Recording, beats: Beats) -> None:
    late = labelled(clean, lambda label: label._replace(sample=label.sample + 50))
    found = of(check(late, beats), "labels-off-peak")
    assert found.severity is Severity.ERROR
    assert "200 ms or more after the nearest" in found.message


def test_labels_a_little_off_the_peak_are_fine(clean: Recording, beats: Beats) -> None:
    early = labelled(clean, lambda label: label._replace(sample=max(0, label.sample - 10)))
    assert check(early, beats) == []


def test_a_detector_that_misses_some_beats_is_a_warning(clean: Recording, beats: Beats) -> None:
    missed = np.delete(beats, np.arange(0, beats.size, 6))
    found = of(check(clean, missed), "labels-off-peak")
    assert found.severity is Severity.WARNING
    assert found.value == pytest.approx(1 / 6, abs=0.01)


def test_labels_inside_a_gap_are_not_held_against_the_detector(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    def cut(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        samples[5000:10_000] = np.nan
        return samples

    present = beats[(beats < 5000) | (beats >= 10_000)]
    assert "labels-off-peak" not in {
        finding.code for finding in check(damaged(clean, cut), present)
    }


def test_more_labels_than_a_heart_has_beats_are_an_error(clean: Recording, beats: Beats) -> None:
    squeezed = labelled(clean, lambda label: label._replace(sample=label.sample // 8))
    found = of(check(squeezed, beats), "labels-dense")
    assert found.severity is Severity.ERROR
    assert "--fs HZ" in found.fix


def test_beats_labelled_twice_a_little_apart_are_a_warning(clean: Recording, beats: Beats) -> None:
    assert clean.labels is not None
    again = [BeatLabel(label.sample + 10, label.symbol) for label in clean.labels[1:-1:3]]
    (found,) = check(replace(clean, labels=tuple(sorted([*clean.labels, *again]))), beats)
    assert (found.code, found.severity) == ("labels-dense", Severity.WARNING)


@pytest.mark.parametrize(
    ("milliseconds", "severity"),
    [(-72, Severity.WARNING), (-120, Severity.ERROR), (120, Severity.ERROR)],
)
def test_constant_shift_is_one_finding_with_the_correction(
    milliseconds: int, severity: Severity, clean: Recording, beats: Beats
) -> None:
    shift = milliseconds * 250 // 1000
    moved = tuple(
        label._replace(sample=label.sample + shift)
        for label in clean.labels or ()
        if 0 < label.sample + shift < clean.length
    )
    (found,) = check(replace(clean, labels=moved), beats)
    assert (found.code, found.severity) == ("labels-shifted", severity)
    assert found.value == pytest.approx(milliseconds)
    assert found.fix.startswith(f"{'Subtract' if shift > 0 else 'Add'} {abs(shift)} samples")


def test_labels_that_stand_off_by_chance_are_not_shifted(clean: Recording, beats: Beats) -> None:
    random = np.random.default_rng(0)
    loose = labelled(
        clean,
        lambda label: label._replace(sample=max(0, label.sample + int(random.integers(-35, 0)))),
    )
    assert "labels-shifted" not in {finding.code for finding in check(loose, beats)}


def test_paced_beats_are_a_warning_that_names_ec57(clean: Recording, beats: Beats) -> None:
    assert clean.labels is not None
    paced = (*clean.labels[:-6], *(label._replace(symbol="/") for label in clean.labels[-6:]))
    (found,) = check(replace(clean, labels=paced), beats)
    assert (found.code, found.severity) == ("paced-rhythm", Severity.WARNING)
    assert found.value == pytest.approx(6 / len(paced))
    assert "EC57" in found.message


def test_more_pvcs_than_any_patient_has_are_a_warning(clean: Recording, beats: Beats) -> None:
    exchanged = labelled(
        clean, lambda label: label._replace(symbol="N" if label.symbol == "V" else "V")
    )
    (found,) = check(exchanged, beats)
    assert (found.code, found.severity) == ("implausible-pvc-share", Severity.WARNING)
    assert "[vocabulary]" in found.fix


def test_bigeminy_is_plausible(clean: Recording, beats: Beats) -> None:
    assert clean.labels is not None
    bigeminy = tuple(
        label._replace(symbol="NV"[place % 2]) for place, label in enumerate(clean.labels)
    )
    assert check(replace(clean, labels=bigeminy), beats) == []
