"""Length, sampling rate and gaps."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Finding, Severity

Beats = NDArray[np.int64]
Damage = Callable[..., Recording]


def one(findings: list[Finding], code: str) -> Finding:
    (found,) = [finding for finding in findings if finding.code == code]
    return found


def test_nine_seconds_are_too_short(clean: Recording, beats: Beats, damaged: Damage) -> None:
    found = one(check(damaged(clean, lambda samples: samples[: 9 * 250]), beats), "too-short")
    assert found.severity is Severity.ERROR
    assert found.value == pytest.approx(9.0)
    assert "--fs HZ" in found.fix


def test_eleven_seconds_are_enough(clean: Recording, beats: Beats, damaged: Damage) -> None:
    short = damaged(replace(clean, labels=None), lambda samples: samples[: 11 * 250])
    assert [finding.code for finding in check(short, beats)] == ["no-labels"]


def test_a_rate_under_100_hz_is_refused(clean: Recording) -> None:
    slow = replace(
        clean,
        fs=83.0,
        leads=tuple(replace(lead, samples=lead.samples[::3].copy()) for lead in clean.leads),
        labels=None,
    )
    detected = np.array([label.sample // 3 for label in clean.labels or ()])
    found = one(check(slow, detected), "low-sampling-rate")
    assert found.severity is Severity.ERROR
    assert "83 Hz" in found.message


def cut(start: int, stop: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def change(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        samples[start:stop] = np.nan
        return samples

    return change


def test_a_short_gap_is_mentioned_with_its_place(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    (found,) = check(damaged(clean, cut(2500, 3250)), beats)
    assert (found.code, found.severity) == ("gaps", Severity.INFO)
    assert (found.start_s, found.stop_s) == (10.0, 13.0)
    assert "1 gap" in found.message


def test_many_gaps_are_a_warning_with_the_longest_named(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    gappy = damaged(damaged(clean, cut(2500, 5000)), cut(10_000, 15_000))
    found = one(check(gappy, beats), "gaps")
    assert found.severity is Severity.WARNING
    assert "2 gaps" in found.message
    assert (found.start_s, found.stop_s) == (40.0, 60.0)


def test_signal_missing_in_one_lead_is_no_gap(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    codes = [finding.code for finding in check(damaged(clean, cut(2500, 5000), leads=(1,)), beats)]
    assert codes == ["lead-off"]
