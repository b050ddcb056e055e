"""The three hospitals of the demo. Their exports differ in format, sampling rate and lead names."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ecgfl_adapters import find_recordings
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import BeatLabel, Lead, Recording
from ecgfl_adapters.registry import adapters
from ecgfl_adapters.wfdb.leads import WfdbOptions
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.errors import UnusableInput

PATIENTS_A_HOSPITAL = 4
SYNTHETIC_SECONDS = 600.0
FEWEST_PVCS = 20
SYNTHETIC_FS = 360.0


@dataclass(frozen=True)
class Hospital:
    """A hospital of the demo.

    Attributes
    ----------
    name
        Name of its site.
    format
        Format of its exports.
    fs
        Sampling rate of its recorders in hertz.
    lead_names
        Names that it gives to its leads; None keeps the names.
    """

    name: str
    format: str
    fs: int
    lead_names: tuple[str, ...] | None


HOSPITALS = (
    Hospital("north-clinic", "wfdb", 360, None),
    Hospital("city-hospital", "edf", 250, ("ECG II", "ECG V1")),
    Hospital("st-mary", "csv", 200, ("II", "V5")),
)


def recordings(data: Path | None) -> list[Recording]:
    """Return one recording for each patient. The last one is for prediction; no hospital has it.

    Without `data` they are synthetic. Raises `UnusableInput` when the folder holds too few labelled
    recordings with PVCs.
    """
    needed = PATIENTS_A_HOSPITAL * len(HOSPITALS) + 1
    if data is None:
        return [
            synthesise(seed, SYNTHETIC_SECONDS, SYNTHETIC_FS, pvc_share=0.06 + 0.01 * (seed % 5))
            for seed in range(20, 20 + needed)
        ]
    suitable = [
        path for path in find_recordings([data]).recordings if _pvcs(_read(path)) >= FEWEST_PVCS
    ]
    if len(suitable) < needed:
        raise UnusableInput(
            f"{data}: {len(suitable)} labelled recordings with at least {FEWEST_PVCS} PVCs, the "
            f"demo needs {needed}",
            "Give a larger folder, e.g. mitdb",
        )
    return [
        _read(suitable[place])
        for place in np.linspace(0, len(suitable) - 1, needed).round().astype(int)
    ]


def export(hospital: Hospital, recording: Recording, folder: Path) -> Path:
    """Write a recording in this hospital's format, and return the file to read."""
    ratio = hospital.fs / recording.fs
    leads = tuple(
        Lead(name, _resampled(np.asarray(lead.samples), recording.fs, hospital.fs), lead.step_mv)
        for name, lead in zip(
            hospital.lead_names or [lead.name for lead in recording.leads],
            recording.leads,
            strict=False,
        )
    )
    length = leads[0].samples.size
    labels = tuple(
        BeatLabel(sample, label.symbol)
        for label in recording.labels or ()
        if (sample := round(label.sample * ratio)) < length
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = adapters()[hospital.format].write(
        replace(recording, fs=float(hospital.fs), leads=leads, labels=labels), folder
    )
    return written[0]


def _read(path: Path) -> Recording:
    return read(path, "auto", ReadOptions(format_options=(WfdbOptions(assume_gain=True),)))


def _pvcs(recording: Recording) -> int:
    return sum(label.symbol == "V" for label in recording.labels or ())


def _resampled(samples: NDArray[np.float32], fs: float, target: int) -> NDArray[np.float32]:
    if fs == target:
        return samples
    common = np.gcd(round(fs), target)
    resampled = resample_poly(samples, target // common, round(fs) // common, padtype="line")
    return np.asarray(resampled, dtype=np.float32)
