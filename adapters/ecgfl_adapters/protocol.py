"""What a file format must offer to take part: see `Adapter`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from ecgfl_adapters.recording import Recording
from ecgfl_adapters.tables.layout import CsvLayout


@dataclass(frozen=True)
class ReadOptions:
    """What the person at the command line knows better than the file.

    leads : names of the leads to keep, in this order; empty keeps every ECG lead of the file.
    fs : sampling rate in hertz, for files that do not state one.
    units : unit of the samples: "mV", "uV", "V" or "nV", which wins over what the file states; or "adc:GAIN[:BASELINE]" with
        GAIN in ADC units per millivolt, for files that state none.
    labels : None takes the labels found with the file if there are any; "none" takes no labels; otherwise the path of a
        label file or the suffix of a WFDB annotator ("atr"), whose absence is then an error.
    vocabulary : words for beats beyond the built-in ones, as {"extrasystole": "V"}; the case does not matter.
    ecg_channels : shell patterns ("Kanal *") of channel names that are ECG beyond the known ones; the case does not matter.
    layouts : tables of numbers that a site described by hand; the first whose file pattern fits is believed.
    accept_predictions : take predictions of this program that nobody corrected as labels, to measure them; never to train on.
    force : read a file whose checksum is wrong; the fault becomes a remark.
    assume_wfdb_gain : read an uncalibrated WFDB signal (gain 0) with WFDB's default gain instead of refusing it; for uses
        in which the scale cancels out.
    named : files and folders that the user named. A link in a folder is followed only if its target is in that folder; see
        `companions.link_bounds`.
    follow_links : follow links to any target.
    """

    leads: tuple[str, ...] = ()
    fs: float | None = None
    units: str | None = None
    labels: str | None = None
    vocabulary: Mapping[str, str] = field(default_factory=dict)
    ecg_channels: tuple[str, ...] = ()
    layouts: tuple[CsvLayout, ...] = ()
    accept_predictions: bool = False
    force: bool = False
    assume_wfdb_gain: bool = False
    named: tuple[Path, ...] = ()
    follow_links: bool = False


@runtime_checkable
class Adapter(Protocol):
    """One file format. Registered under the entry-point group `ecgfl.adapters`."""

    name: str

    def recognises(self, path: Path) -> bool:
        """Whether `path` names a recording of this format, by its name and its first bytes. Cheap; never raises on content."""
        ...

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read one recording. Raises `AdapterError` (and nothing else) when the file cannot be used."""
        ...

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write signals and labels under `folder`, named after the recording; returns the files, the one to read first.

        Source identifiers are not written. Raises `ValueError` when the format cannot hold the recording.
        """
        ...
