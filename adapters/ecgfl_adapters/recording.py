"""Recordings, to which every file format is converted."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from ecgfl_adapters.samples import Samples, blocks, stretches


@dataclass(frozen=True)
class Lead:
    """One ECG lead.

    Parameters
    ----------
    name : str
        The file's own name ("MLII", "ECG I", ...).
    samples : array-like
        Shape (n,), float32, millivolts; NaN where there is no signal. An array, or an object that
        reads from the file as needed.
    step_mv : float
        Quantisation step of the source in millivolts, more than 0.
    """

    name: str
    samples: Samples
    step_mv: float


class BeatLabel(NamedTuple):
    """One annotation.

    Parameters
    ----------
    sample : int
        The sample at which it stands, from 0.
    symbol : str
        Its symbol in WFDB's notation ("N", "V", "[", ...).
    """

    sample: int
    symbol: str


class Gap(NamedTuple):
    """Samples [start, stop) in which no lead holds a signal."""

    start: int
    stop: int


class Remark(NamedTuple):
    """A fault of the file that the reader tolerated. It becomes a finding.

    Parameters
    ----------
    code : str
        Stable name in kebab-case.
    problem : str
        What is wrong, with the numbers; never a text from the file.
    fix : str
        What the user can do about it.
    severity : {"info", "warning"}
        "info" if there is nothing to do for most files.
    """

    code: str
    problem: str
    fix: str
    severity: Literal["info", "warning"] = "warning"


@dataclass(frozen=True)
class Source:
    """Where a recording came from. The store must not hold any of this unchanged.

    Parameters
    ----------
    path : Path
        The file.
    format : str
        Name of the adapter.
    patient : str
        Identifier of the patient; "" if the file states none or a placeholder.
    person : str
        Name and birth date, to notice one person under two identifiers; "" unless both are stated.
    age : int, optional
        In years.
    sex : {"F", "M"}, optional
        As the file states it.
    start : datetime, optional
        Time of the first sample.
    identifiers : dict of str to str
        Everything else about the person or device (name, birth date, serial number, comments ...).
    """

    path: Path
    format: str
    patient: str
    person: str = ""
    age: int | None = None
    sex: Literal["F", "M"] | None = None
    start: datetime | None = None
    identifiers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """Leads on one continuous time axis, with beat labels where there are any.

    Parameters
    ----------
    name : str
        The record's name, without folder or suffix.
    fs : float
        Sampling rate in hertz, the same for every lead.
    leads : tuple of Lead
        At least one; all of the same length.
    source : Source
        Where it came from.
    labels : tuple of BeatLabel, optional
        In order of their samples; None if the source has no labels, which differs from no beats.
    remarks : tuple of Remark
        Faults that the reader tolerated.
    label_origin : {"reference", "reviewer", "machine"}
        Who made the labels; "machine" if those asked for are a prediction of this program.

    Raises
    ------
    ValueError
        If there is no lead, leads differ in length, or the rate is not positive.
    """

    name: str
    fs: float
    leads: tuple[Lead, ...]
    source: Source
    labels: tuple[BeatLabel, ...] | None = None
    remarks: tuple[Remark, ...] = ()
    label_origin: Literal["reference", "reviewer", "machine"] = "reference"

    def __post_init__(self) -> None:
        """Check that there are leads of one length, and a positive rate."""
        if not self.fs > 0:
            raise ValueError(f"sampling rate must be more than 0 Hz, got {self.fs}")
        if not self.leads:
            raise ValueError("a recording needs at least one lead")
        if (
            len({lead.samples.shape for lead in self.leads}) != 1
            or len(self.leads[0].samples.shape) != 1
        ):
            raise ValueError(
                "leads must be one-dimensional and equally long, got "
                f"{[lead.samples.shape for lead in self.leads]}"
            )

    @property
    def length(self) -> int:
        """Return the number of samples per lead."""
        return int(self.leads[0].samples.size)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.length / self.fs

    def signal_digest(self) -> bytes:
        """Return the SHA-256 of the sampling rate and the samples.

        The same signal has the same digest in every file.
        """
        digest = sha256(f"{self.fs!r}".encode())
        for lead in self.leads:
            for _, part in blocks(lead.samples):
                digest.update(np.ascontiguousarray(part).data)
        return digest.digest()

    def gaps(self) -> tuple[Gap, ...]:
        """Return the stretches in which every lead is NaN."""
        leads = [lead.samples for lead in self.leads]
        absent = stretches(
            self.length,
            lambda part: np.logical_and.reduce([np.isnan(samples[part]) for samples in leads]),
        )
        return tuple(Gap(start, stop) for start, stop in absent)
