"""Synthetic ECGs have the properties that the demo and other tests rely on."""

import time

import numpy as np
import pytest
from ecgfl_adapters.recording import Recording
from numpy.typing import NDArray
from sleepecg import detect_heartbeats

from ecgfl_cli.demo.synthesiser import STEP_MV, synthesise

SEEDS = range(8)


def samples_of(recording: Recording, symbol: str) -> NDArray[np.int64]:
    return np.array(
        [label.sample for label in recording.labels or () if label.symbol == symbol], dtype=np.int64
    )


def symbols_of(recording: Recording) -> str:
    return "".join(label.symbol for label in recording.labels or ())


def typical_beat(recording: Recording, symbol: str, reach_s: float = 0.3) -> NDArray[np.float64]:
    """Median beat of the first lead, baseline removed: noise averages out, neighbours do too."""
    reach = round(reach_s * recording.fs)
    peaks = samples_of(recording, symbol)
    peaks = peaks[(peaks >= reach) & (peaks < recording.length - reach)]
    windows = (
        recording.leads[0].samples[peaks[:, None] + np.arange(-reach, reach + 1)].astype(np.float64)
    )
    return np.asarray(np.median(windows - np.median(windows, axis=1, keepdims=True), axis=0))


def test_a_recording_has_what_was_asked_for() -> None:
    recording = synthesise(5, 90.5, 200, leads=("II", "V2", "V5"), name="visit-1")
    assert (recording.name, recording.fs, recording.length) == ("visit-1", 200.0, 18_100)
    assert [lead.name for lead in recording.leads] == ["II", "V2", "V5"]
    assert set(symbols_of(recording)) == {"N", "V"}
    assert recording.source.format == "synthetic"


def test_the_same_arguments_give_the_same_recording() -> None:
    first, second = synthesise(7, 30, 250), synthesise(7, 30, 250)
    assert first.labels == second.labels
    for one, other in zip(first.leads, second.leads, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)


def test_samples_are_millivolts_in_whole_steps() -> None:
    for lead in synthesise(2, 30, 250).leads:
        assert lead.samples.dtype == np.float32
        steps = lead.samples.astype(np.float64) / STEP_MV
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
        assert 0.5 < np.ptp(lead.samples) < 10


@pytest.mark.parametrize("leads", [("MLII", "V1"), ("V1", "MLII")])
@pytest.mark.parametrize("seed", SEEDS)
def test_labels_stand_on_the_largest_deflection_of_the_qrs(
    seed: int, leads: tuple[str, ...]
) -> None:
    recording = synthesise(seed, 300, 360, leads=leads, noise_mv=0.0)
    reach, margin = round(0.05 * 360), round(0.3 * 360)
    for label in recording.labels or ():
        if margin <= label.sample < recording.length - margin:
            around = recording.leads[0].samples[label.sample - margin : label.sample + margin + 1]
            deflection = np.abs(around - np.median(around))[margin - reach : margin + reach + 1]
            # One step of quantisation and a sloping baseline may favour a neighbour.
            assert abs(int(deflection.argmax()) - reach) <= 2, label


def test_labels_are_in_order_and_inside() -> None:
    samples = [label.sample for label in synthesise(4, 120, 250).labels or ()]
    assert samples == sorted(set(samples))
    assert samples[0] >= 0
    assert samples[-1] < 120 * 250


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_pvcs_have_about_the_share_asked_for(share: float) -> None:
    symbols = "".join(symbols_of(synthesise(seed, 900, 100, pvc_share=share)) for seed in range(4))
    assert symbols.count("V") / len(symbols) == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("heart_rate", [50, 72, 110])
def test_the_heart_beats_at_about_the_rate_asked_for(heart_rate: float) -> None:
    recording = synthesise(1, 600, 100, heart_rate=heart_rate, pvc_share=0.0)
    rate = 60 * 100 / np.median(np.diff(samples_of(recording, "N")))
    assert rate == pytest.approx(heart_rate, rel=0.13)


@pytest.mark.parametrize("seed", SEEDS)
def test_pvcs_come_early_and_are_followed_by_a_pause(seed: int) -> None:
    recording = synthesise(seed, 900, 360)
    peaks = np.array([label.sample for label in recording.labels or ()])
    symbols = symbols_of(recording)
    rr = np.median(np.diff(peaks))
    single = [i for i in range(2, len(symbols) - 2) if symbols[i - 2 : i + 3] == "NNVNN"]
    assert len(single) > 20
    coupling = np.array([peaks[i] - peaks[i - 1] for i in single]) / rr
    pause = np.array([peaks[i + 1] - peaks[i] for i in single]) / rr
    assert 0.5 < np.median(coupling) < 0.82
    assert np.median(pause) > 1.15
    assert np.median(coupling + pause) == pytest.approx(2.0, abs=0.1)


def test_some_pvcs_come_in_couplets_and_runs() -> None:
    symbols = "".join(symbols_of(synthesise(seed, 1800, 100)) for seed in range(3))
    assert "NVVN" in symbols
    assert "NVVVN" in symbols


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pvc_is_wide_and_a_normal_beat_is_not(seed: int) -> None:
    recording = synthesise(seed, 1800, 360)

    def width_ms(symbol: str) -> float:
        """Return how long the first lead's QRS stays above a tenth of its height, within 130 ms."""
        middle = round(0.3 * 360)
        reach = round(0.13 * 360)
        beat = np.abs(typical_beat(recording, symbol))[middle - reach : middle + reach + 1]
        above = np.flatnonzero(beat > 0.1 * beat[reach])
        return float(np.ptp(above)) / 360 * 1000

    assert width_ms("N") < 110
    assert width_ms("V") >= 110


def test_the_t_wave_of_a_pvc_points_away_from_its_qrs() -> None:
    for seed in SEEDS:
        recording = synthesise(seed, 600, 250, noise_mv=0.0)
        signal = recording.leads[0].samples
        discordant = [
            np.sign(signal[peak] - np.median(signal[peak - 100 : peak + 150]))
            != np.sign(signal[peak + 83] - np.median(signal[peak - 100 : peak + 150]))
            for peak in samples_of(recording, "V")
            if 100 <= peak < recording.length - 150
        ]
        assert np.mean(discordant) > 0.75


def test_rr_intervals_vary_as_in_people() -> None:
    for seed in SEEDS:
        intervals = np.diff(samples_of(synthesise(seed, 600, 360, pvc_share=0.0), "N")) / 360
        assert 0.01 < intervals.std() / intervals.mean() < 0.12


def test_every_seed_is_another_patient() -> None:
    beats = [typical_beat(synthesise(seed, 120, 250, pvc_share=0.0), "N") for seed in SEEDS]
    for index, one in enumerate(beats):
        for other in beats[index + 1 :]:
            assert np.abs(one - other).max() > 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_a_detector_for_real_ecgs_finds_the_beats(seed: int) -> None:
    recording = synthesise(seed, 300, 250)
    found = detect_heartbeats(recording.leads[0].samples.astype(np.float64), 250)
    labels = np.array([label.sample for label in recording.labels or ()])
    distance = np.abs(labels[:, None] - np.asarray(found)[None, :])
    assert (distance.min(axis=1) <= 0.15 * 250).mean() > 0.98
    assert (distance.min(axis=0) <= 0.15 * 250).mean() > 0.95


def test_noise_grows_with_what_was_asked_for() -> None:
    quiet, loud = (synthesise(1, 60, 250, noise_mv=noise).leads[0].samples for noise in (0.0, 0.1))
    assert np.std(loud - quiet) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.0},
        {"seconds": float("nan")},
        {"fs": 50.0},
        {"heart_rate": 300.0},
        {"pvc_share": 0.9},
        {"noise_mv": -1.0},
        {"leads": ()},
    ],
    ids=str,
)
def test_an_argument_out_of_bounds_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        synthesise(**{"seed": 1, "seconds": 60.0, "fs": 250.0} | wrong)  # type: ignore[arg-type]


def test_half_an_hour_takes_a_moment() -> None:
    started = time.perf_counter()
    synthesise(1, 1800, 360)
    # 0.1 s on the machine it was written on; the bound leaves room for a busy one.
    assert time.perf_counter() - started < 1.0
