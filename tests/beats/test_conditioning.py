"""Conditioning: band-pass and one rate, with every gap where it was."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ecgfl_adapters.discovery import read
from scipy.signal import butter, resample, sosfiltfilt

from ecgfl_cli.beats import conditioning
from ecgfl_cli.beats.conditioning import condition, pieces
from ecgfl_cli.demo.synthesiser import synthesise

FS = 250.0


@pytest.fixture(scope="module")
def lead() -> np.ndarray:
    return synthesise(3, 30, FS).leads[0].samples


def test_pieces_are_the_stretches_without_nan() -> None:
    samples = np.array([np.nan, 1, 2, np.nan, np.nan, 3], dtype=np.float32)
    assert pieces(samples) == [slice(1, 3), slice(5, 6)]
    assert pieces(np.full(4, np.nan, dtype=np.float32)) == []
    assert pieces(np.empty(0, dtype=np.float32)) == []


def test_pieces_do_not_depend_on_the_block_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(0)
    for absent in (0.0, 0.1, 0.5, 1.0):
        samples = np.where(random.random(1000) < absent, np.nan, 1).astype(np.float32)
        whole = pieces(samples)
        kept = np.zeros(1000, dtype=bool)
        for piece in whole:
            kept[piece] = True
        np.testing.assert_array_equal(kept, ~np.isnan(samples))
        for size in (1, 2, 7, 999):
            monkeypatch.setattr(conditioning, "AT_A_TIME", size)
            assert pieces(samples) == whole
        monkeypatch.undo()


@pytest.mark.parametrize("target", [125.0, 250.0, 360.0, 500.0])
def test_a_gap_stays_a_gap_at_every_rate(lead: np.ndarray, target: float) -> None:
    samples = lead.copy()
    samples[2500:3000] = np.nan
    absent = np.isnan(condition(samples, FS, target))
    assert absent.size == 30 * target
    assert absent[round(10 * target) : round(12 * target)].all()
    assert not absent[: round(10 * target) - 1].any()
    assert not absent[round(12 * target) + 1 : -1].any()


def test_signal_after_a_gap_does_not_affect_signal_before(lead: np.ndarray) -> None:
    one, other = lead.copy(), lead.copy()
    one[2500:2510] = other[2500:2510] = np.nan
    other[2510:] = 100 * lead[2510:] + 7
    np.testing.assert_array_equal(
        condition(one, FS, 360)[: round(9.9 * 360)], condition(other, FS, 360)[: round(9.9 * 360)]
    )


def test_a_piece_too_short_for_a_beat_is_a_gap(lead: np.ndarray) -> None:
    samples = lead.copy()
    samples[2500:2600] = samples[2800:2900] = np.nan
    assert np.isnan(condition(samples, FS, 360)[(10 * 360) : round(11.6 * 360) - 1]).all()


@pytest.mark.parametrize("target", [128.0, 360.0])
def test_an_r_peak_keeps_its_time(target: float) -> None:
    samples = np.zeros(2500, dtype=np.float32)
    time = (np.arange(2500) - 1000) / FS
    samples += np.exp(-((time / 0.012) ** 2)).astype(np.float32)
    peak = int(np.argmax(condition(samples, FS, target)))
    assert abs(peak / target - 4.0) <= 1 / target


def test_baseline_and_mains_hum_go_and_the_qrs_stays() -> None:
    time = np.arange(2500) / FS
    wander, hum = 2 * np.sin(2 * np.pi * 0.1 * time), 0.5 * np.sin(2 * np.pi * 60 * time)
    middle = slice(3 * 360, 7 * 360)
    # A second-order Butterworth, forwards and backwards, leaves about 1 / (1 + (60 / 40)^4) of the
    # hum.
    assert np.abs(condition(wander.astype(np.float32), FS, 360)[middle]).max() < 0.05
    assert np.abs(condition(hum.astype(np.float32), FS, 360)[middle]).max() < 0.1
    ten = np.sin(2 * np.pi * 10 * time).astype(np.float32)
    assert np.abs(condition(ten, FS, 360)[middle]).max() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("fs", [1.0, 1.05, 2.0, 10.0, 14.0])
def test_a_rate_too_low_for_an_ecg_is_no_crash(fs: float) -> None:
    """A 10 Hz trend named "II" is for the quality checks to refuse, with a reason."""
    samples = np.random.default_rng(0).normal(size=round(5 * fs) + 1).astype(np.float32)
    assert condition(samples, fs, fs).size == samples.size


RATES = [
    (200.0, 128.0),
    (250.0, 128.0),
    (360.0, 128.0),
    (128.0, 128.0),
    (100.0, 128.0),
    (257.3, 128.0),
    (977.0, 128.0),
    (249.98713, 360.0),
]
"""Rates in step with the target's, rates that are not, and one lower than it."""


@pytest.fixture(scope="module")
def drifting() -> np.ndarray:
    """A million samples of noise on a baseline that wanders by tens of millivolts."""
    noise = np.random.default_rng(0).normal(size=1_000_000)
    return (np.cumsum(noise) * 0.01 + noise * 0.1).astype(np.float32)


def in_blocks_of(
    seconds: float, monkeypatch: pytest.MonkeyPatch, samples: np.ndarray, fs: float, target: float
) -> np.ndarray:
    monkeypatch.setattr(conditioning, "BLOCK_SECONDS", seconds)
    return condition(samples, fs, target)


@pytest.mark.parametrize(("fs", "target"), RATES)
def test_where_blocks_are_cut_makes_no_difference(
    drifting: np.ndarray, monkeypatch: pytest.MonkeyPatch, fs: float, target: float
) -> None:
    samples = drifting[: round(1000 * fs)]
    whole = in_blocks_of(2000, monkeypatch, samples, fs, target)
    for seconds in (1.3, 10, 128):
        blocked = in_blocks_of(seconds, monkeypatch, samples, fs, target)
        np.testing.assert_allclose(blocked, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shift", [-1, 0, 1, 300])
@pytest.mark.parametrize("fs", [250.0, 257.3])
def test_a_gap_beside_the_cut_of_a_block_makes_no_difference(
    drifting: np.ndarray, monkeypatch: pytest.MonkeyPatch, fs: float, shift: int
) -> None:
    samples = drifting[: round(60 * fs)].copy()
    for seconds in (10, 20, 40):
        samples[round(seconds * fs) + shift :][:3] = np.nan
    whole = in_blocks_of(2000, monkeypatch, samples, fs, 128)
    blocked = in_blocks_of(10, monkeypatch, samples, fs, 128)
    assert 3 <= np.isnan(whole).sum() <= 6
    np.testing.assert_allclose(blocked, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("fs", "target"), RATES[:-1])
def test_filter_is_butterworth_in_both_directions(
    drifting: np.ndarray, fs: float, target: float
) -> None:
    lowest = min(fs, target)
    count = round(400 * fs)
    samples = drifting[:count]
    # A period later it is where it began, so that what scipy takes for periodic is.
    periodic = samples - np.linspace(0, samples[-1] - samples[0], count, dtype=np.float32)
    edge = round(15 * target)
    given = round(count * target / fs)
    if target > fs:
        filtered = sosfiltfilt(
            butter(2, (0.5, 40), "bandpass", fs=fs, output="sos"), periodic.astype(np.float64)
        )
        expected = resample(filtered, given)
    else:
        resampled = resample(periodic.astype(np.float64), given)
        expected = sosfiltfilt(butter(2, (0.5, 40), "bandpass", fs=lowest, output="sos"), resampled)
    found = condition(periodic, fs, target)
    np.testing.assert_allclose(found[edge:-edge], expected[edge:-edge], rtol=0, atol=1e-3)


@pytest.mark.parametrize("fs", [250.0, 257.3, 249.98713, 977.0, 1000.0 / 3.0])
def test_hours_stay_in_step(fs: float) -> None:
    """A hump every quarter of an hour; the last one, too, stands where it was."""
    quarters = 16
    samples = np.zeros(round(quarters * 900 * fs), dtype=np.float32)
    reach = np.arange(-round(0.1 * fs), round(0.1 * fs) + 1)
    times = []
    for quarter in range(1, quarters):
        at = round(quarter * 900 * fs)
        samples[at + reach] = np.exp(-((reach / fs / 0.012) ** 2))
        times.append(at / fs)
    found = condition(samples, fs, 128.0)
    for time in times:
        near = round(time * 128)
        part = found[near - 3 : near + 4].astype(np.float64)
        top = int(np.argmax(part))
        left, middle, right = part[top - 1 : top + 2]
        peak = near - 3 + top + (left - right) / (2 * (left - 2 * middle + right))
        assert abs(peak - time * 128) < 0.05  # half of it is the parabola's own error


@pytest.mark.parametrize("broken", [np.inf, -np.inf, 1e6, -3e38])
def test_impossible_value_becomes_a_gap(lead: np.ndarray, broken: float) -> None:
    samples, missing = lead.copy(), lead.copy()
    samples[2500:2503] = broken
    missing[2500:2503] = np.nan
    np.testing.assert_array_equal(condition(samples, FS, 128), condition(missing, FS, 128))


@pytest.mark.parametrize("scale", [1e-3, 1e3, 2e6])
def test_a_lead_in_another_unit_is_conditioned_just_as_well(lead: np.ndarray, scale: float) -> None:
    """Whether that unit is acceptable is for the quality checks to say."""
    counts = (lead + 5) * np.float32(scale)
    np.testing.assert_allclose(
        condition(counts, FS, 128) / scale, condition(lead, FS, 128), rtol=0, atol=1e-4
    )


def test_large_offset_changes_only_rounding(
    lead: np.ndarray,
) -> None:
    np.testing.assert_allclose(
        condition(lead + np.float32(300), FS, 128), condition(lead, FS, 128), rtol=0, atol=1e-4
    )


def test_what_lies_beside_a_gap_is_hardly_disturbed(real_data: Path) -> None:
    """On average over the first two seconds: a step at the edge would ring on for longer."""
    for record in ("101", "119", "208", "223"):
        recording = read(real_data / "mitdb" / f"{record}.hea")
        samples = recording.leads[0].samples
        whole = condition(samples, 360, 128)
        errors = []
        for first in range(45 * 400, 45 * 12_000, 45 * 800):
            part = condition(samples[first : first + 3600], 360, 128)[:256]
            errors.append(np.abs(part - whole[first * 16 // 45 :][:256]).mean())
        assert np.mean(errors) < 0.02


def test_memory_does_not_grow_with_the_recording() -> None:
    peaks = []
    for hours in (3, 24):
        samples = np.zeros(round(hours * 3600 * 200), dtype=np.float32)
        tracemalloc.start()
        conditioned = condition(samples, 200, 128)
        peaks.append(tracemalloc.get_traced_memory()[1] - conditioned.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 1e6


@pytest.mark.parametrize("samples", [0, 1, 2, 359, 360, 361])
def test_a_second_is_the_shortest_that_is_conditioned(samples: int) -> None:
    found = condition(np.ones(samples, dtype=np.float32), 360, 128)
    assert found.size == round(samples * 128 / 360)
    assert np.isnan(found).all() == (samples < 360)
