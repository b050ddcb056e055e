"""What lies over an ECG, made by a known amount."""

from collections.abc import Callable

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray

from ecgfl_cli.beats.recorder_noise import recorder_noise
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.quality.checks import check
from ecgfl_cli.quality.findings import Severity

Samples = NDArray[np.float32]
Beats = NDArray[np.int64]
Damage = Callable[..., Recording]


def time_of(samples: Samples, fs: float = 250) -> NDArray[np.float64]:
    return np.arange(samples.size) / fs


def test_large_baseline_wander_is_one_warning(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    def drift(samples: Samples) -> Samples:
        slow = 2 * np.sin(2 * np.pi * 0.3 * time_of(samples))
        return samples + np.where(
            (time_of(samples) > 40) & (time_of(samples) < 70), slow, 0
        ).astype(np.float32)

    (found,) = check(damaged(clean, drift, leads=(1,)), beats)
    assert (found.code, found.severity, found.lead) == ("baseline-wander", Severity.WARNING, "V1")
    assert found.value == pytest.approx(4.0, rel=0.1)
    assert found.start_s is not None
    assert 40 <= found.start_s < 70


def test_a_baseline_that_breathes_is_no_finding(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    breathing = damaged(
        clean, lambda samples: samples + 0.3 * np.sin(2 * np.pi * 0.25 * time_of(samples))
    )
    assert check(breathing, beats) == []


@pytest.mark.parametrize("hertz", [50.0, 59.9, 60.0])
@pytest.mark.parametrize("fs", [150, 250, 500])
def test_hum_is_named_with_its_frequency_and_amplitude(
    hertz: float, fs: int, damaged: Damage
) -> None:
    recording = synthesise(3, 120, fs, noise_mv=0)
    detected = np.array([label.sample for label in recording.labels or ()])
    humming = damaged(
        recording,
        lambda samples: samples + 0.1 * np.sin(2 * np.pi * hertz * time_of(samples, fs)),
        leads=(0,),
    )
    (found,) = check(humming, detected)
    assert (found.code, found.severity, found.lead) == ("mains-hum", Severity.WARNING, "MLII")
    assert f"{round(hertz)} Hz" in found.message
    assert found.value == pytest.approx(0.1, rel=0.15)


def test_a_little_hum_is_no_finding(clean: Recording, beats: Beats, damaged: Damage) -> None:
    assert (
        check(
            damaged(
                clean, lambda samples: samples + 0.01 * np.sin(2 * np.pi * 60 * time_of(samples))
            ),
            beats,
        )
        == []
    )


def spiked(places: NDArray[np.int64], millivolts: float = 2.0) -> Callable[[Samples], Samples]:
    def change(samples: Samples) -> Samples:
        samples[places] += np.float32(millivolts)
        return samples

    return change


@pytest.mark.parametrize("millivolts", [2.0, -2.0])
def test_spikes_strewn_over_a_lead_are_counted_by_the_minute(
    millivolts: float, clean: Recording, beats: Beats, damaged: Damage
) -> None:
    places = np.random.default_rng(1).choice(np.arange(10, clean.length - 10), 60, replace=False)
    (found,) = check(damaged(clean, spiked(places, millivolts), leads=(0,)), beats)
    assert (found.code, found.severity, found.lead) == ("spikes", Severity.WARNING, "MLII")
    # 30 a minute; those on a steep flank of a QRS cannot be told.
    assert found.value == pytest.approx(30, rel=0.25)


def test_stimuli_of_a_pacemaker_are_no_spikes(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    stimuli = beats[1:] - round(0.12 * 250)
    assert check(damaged(clean, spiked(stimuli)), beats) == []


def muscle(samples: Samples, size_mv: float, part: slice) -> Samples:
    drawn = recorder_noise("muscle", samples.size // 2 + 1, np.random.default_rng(5))
    samples[part] += (size_mv * np.repeat(drawn, 2)[: samples.size])[part]
    return samples


def test_noise_that_hides_beats_is_a_warning(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    noisy = damaged(clean, lambda samples: muscle(samples, 1.0, slice(10_000, 17_500)), leads=(1,))
    (found,) = check(noisy, beats)
    assert (found.code, found.severity, found.lead) == ("noise", Severity.WARNING, "V1")
    assert found.value == pytest.approx(0.25, abs=0.05)
    assert found.start_s == pytest.approx(40, abs=8)
    assert found.stop_s == pytest.approx(70, abs=8)


def test_noise_all_the_time_is_found_too(clean: Recording, beats: Beats, damaged: Damage) -> None:
    (found,) = check(
        damaged(clean, lambda samples: muscle(samples, 1.0, slice(None)), leads=(1,)), beats
    )
    assert found.code == "noise"
    assert isinstance(found.value, float)
    assert found.value > 0.8


def test_noise_that_leaves_the_beats_alone_is_no_finding(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    assert check(damaged(clean, lambda samples: muscle(samples, 0.08, slice(None))), beats) == []


def test_a_lead_that_is_lost_has_no_further_findings(
    clean: Recording, beats: Beats, damaged: Damage
) -> None:
    def dead(samples: Samples) -> Samples:
        samples[5000:] = 0.1
        return muscle(samples, 1.0, slice(0, 5000))

    (found,) = check(damaged(clean, dead, leads=(1,)), beats)
    assert found.code == "flat-lead"
