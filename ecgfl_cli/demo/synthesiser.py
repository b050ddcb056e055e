"""Synthetic ECGs with known beats, for the demo and tests only; not for training real models.

The waves are sums of Gaussians, an idea of McSharry, Clifford, Tarassenko & Smith, "A dynamical
model for generating synthetic electrocardiogram signals", IEEE Trans Biomed Eng 50:289-294 (2003);
here they stand on a time axis instead of a limit cycle.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ecgfl_adapters.recording import BeatLabel, Lead, Recording, Source
from numpy.random import Generator
from numpy.typing import NDArray

STEP_MV = 0.005
"""The quantisation step of mitdb: 200 units a millivolt."""

BEFORE_S, AFTER_S = 0.4, 0.6
"""Extent of a beat around its R peak."""

QRS_REACH_S = 0.08
"""The R peak is the largest deflection this close to the middle of the QRS."""

# One row a wave, P Q R S T: seconds from the middle of the QRS, standard deviation in seconds. The
# QRS lasts about 90 ms.
NORMAL_WAVES = np.array(
    [[-0.17, 0.022], [-0.030, 0.008], [0.0, 0.011], [0.028, 0.009], [0.27, 0.045]]
)
# Amplitudes in millivolts by lead. A right precordial lead sees the same heart from the front:
# small r, deep S.
LIMB_MV = np.array([0.11, -0.12, 1.30, -0.25, 0.30])
RIGHT_PRECORDIAL_MV = np.array([0.06, 0.0, 0.30, -1.10, 0.15])

# Single, couplet, run of three to six: their shares among ectopic episodes, chosen for a demo that
# shows all of them.
EPISODE_SHARES = (0.82, 0.12, 0.06)
MEAN_EPISODE = 0.82 * 1 + 0.12 * 2 + 0.06 * 4.5


@dataclass(frozen=True)
class _Patient:
    """What is constant in a recording.

    Beat shapes: (leads, samples) in millivolts, R peak at BEFORE_S.
    """

    rr_s: float
    respiration_hz: float
    respiration_share: float
    normal: NDArray[np.float64]
    ectopic: tuple[NDArray[np.float64], ...]
    coupling: tuple[float, ...]


def synthesise(
    seed: int,
    seconds: float,
    fs: float,
    *,
    leads: Sequence[str] = ("MLII", "V1"),
    heart_rate: float = 72.0,
    pvc_share: float = 0.1,
    noise_mv: float = 0.02,
    name: str | None = None,
) -> Recording:
    """Return a synthetic recording. Each seed is a patient; the result is deterministic.

    Parameters
    ----------
    seed : 0 or more. Decides the patient's waves, PVC morphologies (1 to 3), rhythm and noise.
    seconds, fs : length and sampling rate in hertz (100 or more).
    leads : names; V1 to V3 see a deep S wave, every other lead an upright R.
    heart_rate : sinus beats a minute, 30 to 180; the patient's own rate lies within a tenth of it.
    pvc_share : expected share of PVCs among the beats, 0 to 0.5; some of them in couplets and runs.
    noise_mv : root mean square of the muscle noise in millivolts; mains hum of 50 Hz comes with it,
    baseline wander always.
    name : record name, "synthetic-<seed>" if left out.

    Returns a recording with labels N and V on the largest deflection of each QRS in the first lead,
    amplitudes in steps of 5 microvolts. Raises `ValueError` for an argument outside its bounds.
    """
    _check_arguments(seconds, fs, leads, heart_rate, pvc_share, noise_mv)
    patient_rng, rhythm_rng, noise_rng = (
        np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(3)
    )
    patient = _draw_patient(patient_rng, fs, leads, heart_rate)
    length = round(seconds * fs)
    signals = _noise(noise_rng, len(leads), length, fs, noise_mv)
    labels = []
    before = round(BEFORE_S * fs)
    for peak_s, morphology in _rhythm(rhythm_rng, patient, seconds, pvc_share):
        peak = round(peak_s * fs)
        if peak >= length:
            continue
        shape = patient.normal if morphology is None else patient.ectopic[morphology]
        start, stop = max(peak - before, 0), min(peak - before + shape.shape[1], length)
        # Breathing turns the heart's axis; the rest of the beat-to-beat change is chance.
        gain = (
            1.0
            + 0.05 * np.sin(2 * np.pi * patient.respiration_hz * peak_s)
            + rhythm_rng.normal(0.0, 0.02)
        )
        signals[:, start:stop] += gain * shape[:, start - peak + before : stop - peak + before]
        labels.append(BeatLabel(peak, "N" if morphology is None else "V"))
    stepped = (np.round(signals / STEP_MV) * STEP_MV).astype(np.float32)
    title = name if name is not None else f"synthetic-{seed}"
    return Recording(
        name=title,
        fs=float(fs),
        leads=tuple(
            Lead(lead, samples, STEP_MV) for lead, samples in zip(leads, stepped, strict=True)
        ),
        source=Source(path=Path(title), format="synthetic", patient=f"synthetic-{seed}"),
        labels=tuple(labels),
    )


def _check_arguments(
    seconds: float,
    fs: float,
    leads: Sequence[str],
    heart_rate: float,
    pvc_share: float,
    noise_mv: float,
) -> None:
    if not leads:
        raise ValueError("leads must name at least one lead")
    for what, value, lowest, highest in (
        ("seconds", seconds, 1.0, 7 * 86_400.0),
        ("fs", fs, 100.0, 10_000.0),
        ("heart_rate", heart_rate, 30.0, 180.0),
        ("pvc_share", pvc_share, 0.0, 0.5),
        ("noise_mv", noise_mv, 0.0, 10.0),
    ):
        if not lowest <= value <= highest:
            raise ValueError(f"{what} must be from {lowest:g} to {highest:g}, got {value:g}")


def _draw_patient(rng: Generator, fs: float, leads: Sequence[str], heart_rate: float) -> _Patient:
    rr_s = 60.0 / (heart_rate * rng.uniform(0.9, 1.1))
    # The PR and QT intervals follow the rate, as the square root of RR (Bazett), or a fast heart's
    # T would meet the next P.
    pace = min(1.1, np.sqrt(rr_s))
    times = NORMAL_WAVES[:, 0] * np.array([pace, 1.0, 1.0, 1.0, pace])
    widths = NORMAL_WAVES[:, 1] * rng.uniform(0.85, 1.25, 5)
    waves_mv = np.stack([_typical_mv(lead) for lead in leads]) * rng.uniform(
        0.7, 1.3, (len(leads), 5)
    )
    normal = _shape(times, widths, waves_mv, fs)
    size = float(np.abs(waves_mv).max())
    ectopic = tuple(_draw_ectopic(rng, len(leads), size, fs) for _ in range(rng.integers(1, 4)))
    coupling = tuple(float(share) for share in rng.uniform(0.58, 0.77, len(ectopic)))
    return _Patient(
        rr_s, rng.uniform(0.18, 0.32), rng.uniform(0.01, 0.05), normal, ectopic, coupling
    )


def _typical_mv(lead: str) -> NDArray[np.float64]:
    return RIGHT_PRECORDIAL_MV if lead.upper() in {"V1", "V2", "V3"} else LIMB_MV


def _draw_ectopic(rng: Generator, leads: int, size: float, fs: float) -> NDArray[np.float64]:
    """Return a PVC morphology.

    It has no P wave, a QRS of at least 120 ms in two or three parts, and a discordant T wave.
    """
    width = rng.uniform(0.020, 0.027)
    times = np.array(
        [0.0, rng.uniform(0.055, 0.075), -rng.uniform(0.03, 0.05), rng.uniform(0.30, 0.36)]
    )
    widths = np.array(
        [width, width * rng.uniform(0.7, 1.0), width * 0.6, rng.uniform(0.055, 0.075)]
    )
    direction = rng.choice([-1.0, 1.0], (leads, 1))
    parts = np.column_stack(
        [
            rng.uniform(1.0, 1.8, leads),
            -rng.uniform(0.3, 0.7, leads),
            rng.uniform(-0.25, 0.35, leads),
            -rng.uniform(0.25, 0.45, leads),
        ]
    )
    return _shape(times, widths, size * direction * parts, fs)


def _shape(
    times: NDArray[np.float64],
    widths: NDArray[np.float64],
    waves_mv: NDArray[np.float64],
    fs: float,
) -> NDArray[np.float64]:
    """Sum the waves, with the first lead's largest QRS deflection exactly at BEFORE_S.

    times, widths : shape (waves,), seconds. waves_mv : shape (leads, waves). Returns shape (leads,
    samples), 0 at both ends.
    """
    axis = np.arange(-round(BEFORE_S * fs), round(AFTER_S * fs) + 1) / fs
    reach = np.arange(-round(QRS_REACH_S * fs), round(QRS_REACH_S * fs) + 1) / fs

    def at(moments: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(
            waves_mv @ np.exp(-0.5 * ((moments[None, :] - times[:, None]) / widths[:, None]) ** 2)
        )

    shift = reach[np.abs(at(reach)[0]).argmax()]
    return at(axis + shift)


def _rhythm(
    rng: Generator, patient: _Patient, seconds: float, pvc_share: float
) -> Iterator[tuple[float, int | None]]:
    """Return the time of each R peak in seconds and its PVC morphology (None: normal beat)."""
    episode = pvc_share / (MEAN_EPISODE * (1.0 - pvc_share))
    slow = _slow_variation(rng, int(seconds / patient.rr_s * 1.5) + 16)
    now, beat = rng.uniform(0.2, 0.2 + patient.rr_s), 0
    while now < seconds:
        yield now, None
        breath = np.sin(2 * np.pi * patient.respiration_hz * now)
        rr = patient.rr_s * (
            1.0 + patient.respiration_share * breath + 0.03 * slow[beat % slow.size]
        )
        beat += 1
        if rng.random() >= episode:
            now += rr
            continue
        extra = int(rng.choice(3, p=EPISODE_SHARES))
        beats = extra + 1 if extra < 2 else int(rng.integers(3, 7))
        morphology = int(rng.integers(len(patient.ectopic)))
        early = rr * float(
            np.clip(patient.coupling[morphology] + rng.normal(0.0, 0.015), 0.55, 0.8)
        )
        sinus = now
        now += early
        yield now, morphology
        for _ in range(beats - 1):
            now += rr * rng.uniform(0.55, 0.65)
            yield now, morphology
        # The sinus node goes on undisturbed: the next normal beat comes when it is due, once the
        # ventricle can answer again.
        due = sinus + 2.0 * rr
        while due - now < 0.9 * rr:
            due += rr
        now = due


def _slow_variation(rng: Generator, beats: int) -> NDArray[np.float64]:
    """Return RR variation with a 1/f spectrum, shape (beats,), standard deviation 1.

    Source: Kobayashi & Musha 1982.
    """
    spectrum = np.fft.rfft(rng.standard_normal(beats))
    spectrum[0] = 0.0
    spectrum[1:] /= np.sqrt(np.arange(1, spectrum.size))
    series = np.fft.irfft(spectrum, beats)
    return np.asarray(np.clip(series / series.std(), -3.0, 3.0))


def _noise(
    rng: Generator, leads: int, length: int, fs: float, noise_mv: float
) -> NDArray[np.float64]:
    """Return baseline wander, intermittent muscle noise and mains hum in mV, (leads, length)."""
    axis = np.arange(length) / fs
    # Wander below 0.5 Hz is smooth: a few points a second, joined by lines, stand for it.
    coarse = np.arange(0.0, length / fs + 0.2, 0.1)
    signals = np.empty((leads, length))
    for lead in range(leads):
        slow = np.zeros_like(coarse)
        for frequency in rng.uniform(0.05, 0.4, 3):
            slow += rng.uniform(0.02, 0.07) * np.sin(
                2 * np.pi * (frequency * coarse + rng.random())
            )
        bursts = 0.6 + 0.8 * np.abs(
            np.sin(2 * np.pi * (rng.uniform(0.005, 0.02) * coarse + rng.random()))
        )
        muscle = rng.standard_normal(length) * np.interp(axis, coarse, bursts)
        signals[lead] = np.interp(axis, coarse, slow) + noise_mv / muscle.std() * muscle
        if noise_mv:
            signals[lead] += 0.3 * noise_mv * np.sin(2 * np.pi * (50.0 * axis + rng.random()))
    return signals
