"""What the detected beats say about unit, sampling rate and electrodes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Severity

Beats = NDArray[np.int64]
Damage = Callable[..., Recording]


def test_four_beats_are_too_few(clean: Recording, beats: Beats) -> None:
    (found,) = check(clean, beats[:4])
    assert (found.code, found.severity, found.value) == ("too-few-beats", Severity.ERROR, 4.0)
    for option in ("--lead NAME", "--units mV", "--fs HZ"):
        assert option in found.fix


def test_rate_stated_too_high_gives_a_high_heart_rate(clean: Recording, beats: Beats) -> None:
    (found,) = [
        finding
        for finding in check(replace(clean, fs=1000.0), beats)
        if finding.code == "implausible-rate"
    ]
    assert found.severity is Severity.ERROR
    assert "lower than 1000 Hz" in found.fix
    assert "--fs HZ" in found.fix


def test_rate_stated_too_low_gives_a_low_heart_rate(clean: Recording, beats: Beats) -> None:
    sparse = beats[::5]
    (found,) = [
        finding
        for finding in check(replace(clean, labels=None), sparse)
        if finding.code == "implausible-rate"
    ]
    assert found.severity is Severity.ERROR
    assert "higher than 250 Hz" in found.fix


def test_a_very_fast_but_possible_heart_is_only_a_warning(clean: Recording) -> None:
    racing = np.arange(100, clean.length - 100, round(250 * 60 / 220))
    (found,) = [
        finding
        for finding in check(replace(clean, labels=None), racing)
        if finding.code == "implausible-rate"
    ]
    assert found.severity is Severity.WARNING


def test_signal_without_beats_is_a_warning_with_the_stretch(clean: Recording, beats: Beats) -> None:
    missed = beats[(beats < 5000) | (beats > 10_000)]
    (found,) = check(replace(clean, labels=None), missed)[:1]
    assert (found.code, found.severity) == ("beatless-stretch", Severity.WARNING)
    assert found.start_s is not None
    assert found.stop_s is not None
    assert 18.0 < found.start_s <= 20.0
    assert 40.0 <= found.stop_s < 42.0


def test_a_gap_needs_no_beats(clean: Recording, beats: Beats, damaged: Damage) -> None:
    def cut(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        samples[5000:10_000] = np.nan
        return samples

    present = beats[(beats < 5000) | (beats >= 10_000)]
    assert [finding.code for finding in check(damaged(clean, cut), present)] == ["gaps"]
