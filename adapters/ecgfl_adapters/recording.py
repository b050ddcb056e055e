"""Recordings: what every file format is turned into."""

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

    name : as the file calls it ("MLII", "ECG I", ...).
    samples : shape (n,), float32, millivolts; NaN where there is no signal. An array, or read from
    the file as needed.
    step_mv : the quantisation step of the source in millivolts, more than 0.
    """

    name: str
    samples: Samples
    step_mv: float


class BeatLabel(NamedTuple):
    """One annotation: the sample at which it stands and its symbol in WFDB's notation ("N", "V",
    "[", ...).
    """

    sample: int
    symbol: str


class Gap(NamedTuple):
    """Samples [start, stop) in which no lead holds a signal."""

    start: int
    stop: int


class Remark(NamedTuple):
    """Something about the file that the reader put up with, for a person to know; it becomes a
    finding.

    code : stable name in kebab-case. problem : what is wrong, with the numbers; never a text that
    stands in the file. fix : what can be done about it. severity : "info" where there is nothing to
    do for most files.
    """

    code: str
    problem: str
    fix: str
    severity: Literal["info", "warning"] = "warning"


@dataclass(frozen=True)
class Source:
    """Where a recording came from. Nothing of this may enter the store as it stands.

    patient : the identifier of the patient that the file states; "" where it states none, or a
    placeholder for one.
    person : name and birth date, where the file states both, to notice one person under two
    identifiers; else "".
    age : in years, sex : "F" or "M", where the file states them.
    identifiers : whatever the file says about the person or device (name, birth date, id, serial,
    comments ...).
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
    """A continuous time axis with its leads and, where there are any, its beat labels.

    name : the record's name, without folder or suffix.
    fs : sampling rate in hertz, the same for every lead.
    leads : at least one; all of the same length.
    labels : in order of their samples; None when the source has no labels (which is not the same as
    an empty list).
    label_origin : who made the labels; "machine" where those that were asked for are a prediction
    of this program.
    remarks : what the reader put up with.
    """

    name: str
    fs: float
    leads: tuple[Lead, ...]
    source: Source
    labels: tuple[BeatLabel, ...] | None = None
    remarks: tuple[Remark, ...] = ()
    label_origin: Literal["reference", "reviewer", "machine"] = "reference"

    def __post_init__(self) -> None:
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
        return self.length / self.fs

    def signal_digest(self) -> bytes:
        """Return the SHA-256 of the sampling rate and the samples: the same signal has the same
        digest wherever it lies.
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
