"""The interface of a file format: its required and its optional methods."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from ecgfl_adapters.label_axis import TableAxis
from ecgfl_adapters.recording import BeatLabel, Recording

FormatOptions = TypeVar("FormatOptions")

ANY_SUFFIX = "*"
"""In `AdapterBase.label_suffixes`: label files of every suffix that no other format reads."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user knows better than the file.

    Parameters
    ----------
    leads : tuple of str
        Names of the leads to keep, in this order; empty keeps every ECG lead of the file.
    fs : float, optional
        Sampling rate in hertz, for files that do not state one.
    units : str, optional
        Unit of the samples: "mV", "uV", "V" or "nV", which replaces what the file states; or
        "adc:GAIN[:BASELINE]" with GAIN in ADC units per millivolt, for files that state none.
    labels : str, optional
        None takes the labels found with the file, if there are any; "none" takes no labels;
        otherwise the path of a label file or the suffix of a WFDB annotator ("atr"), whose absence
        is then an error.
    vocabulary : mapping of str to str
        Words for beats beyond the built-in ones, such as {"extrasystole": "V"}; case does not
        matter.
    ecg_channels : tuple of str
        Shell patterns ("Kanal *") of further names of ECG channels; case does not matter.
    accept_predictions : bool
        Accept uncorrected predictions of this program as labels, to measure them; never to train on
        them.
    force : bool
        Read a file whose checksum is wrong; the fault becomes a remark.
    named : tuple of Path
        Files and folders that the user named. A link in a folder is followed only if its target is
        in that folder; see `companions.link_bounds`.
    follow_links : bool
        Follow links to any target.
    format_options : tuple
        Options of single formats, at most one object of each class, such as
        `tables.layout.TableOptions`; an adapter takes its own with `for_format`.
    """

    leads: tuple[str, ...] = ()
    fs: float | None = None
    units: str | None = None
    labels: str | None = None
    vocabulary: Mapping[str, str] = field(default_factory=dict)
    ecg_channels: tuple[str, ...] = ()
    accept_predictions: bool = False
    force: bool = False
    named: tuple[Path, ...] = ()
    follow_links: bool = False
    format_options: tuple[object, ...] = ()

    def for_format(self, kind: type[FormatOptions]) -> FormatOptions:
        """Return the options of one format: those given of class `kind`, or its defaults."""
        given = (options for options in self.format_options if isinstance(options, kind))
        return next(given, None) or kind()


@dataclass(frozen=True)
class LabelRequest:
    """What a label reader needs to know about the recording to which the labels belong.

    Parameters
    ----------
    fs : float
        Sampling rate of the leads in hertz; labels are returned in its samples.
    clock_fs : float, optional
        Rate in hertz at which a file that does not state a rate counts its samples. Default: `fs`.
    vocabulary : mapping of str to str
        Words of the site for beats, to WFDB symbols.
    axis : TableAxis, optional
        Axis of the recording, if its times do not begin at 0 or rows are missing.
    """

    fs: float
    clock_fs: float | None = None
    vocabulary: Mapping[str, str] = field(default_factory=dict)
    axis: TableAxis | None = None


@runtime_checkable
class Adapter(Protocol):
    """A file format, registered under the entry-point group `ecgfl.adapters`.

    Attributes
    ----------
    name : str
        Name of the format, as in `--input-format NAME`.
    """

    name: str

    def recognises(self, path: Path) -> bool:
        """Return whether a file is a recording of this format, from its name and its first bytes.

        This must be fast and must not raise for any content.

        Parameters
        ----------
        path : Path
            The file.
        """
        ...

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read one recording.

        Parameters
        ----------
        path : Path
            The file by which the recording is known.
        options : ReadOptions
            What the user knows better than the file.

        Returns
        -------
        Recording
            The leads in millivolts, and the labels if there are any.

        Raises
        ------
        AdapterError
            If the file cannot be used. No other exception may be raised.
        """
        ...

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write signals and labels under a folder, named after the recording.

        Source identifiers are not written.

        Parameters
        ----------
        recording : Recording
            The leads and the labels.
        folder : Path
            An existing folder.

        Returns
        -------
        tuple of Path
            The files; the first one is the file to read.

        Raises
        ------
        ValueError
            If the format cannot hold the recording.
        """
        ...


class AdapterBase:
    """What an adapter may offer beyond `Adapter`.

    Derive from it and override what the format needs.

    A format whose recordings have several files overrides `companions` and `main_file`, so that
    each recording is found once. A format with its own label files sets `label_suffixes` and
    overrides `read_labels` and `is_label_file`, so that these files serve as labels of recordings
    in any format.

    Attributes
    ----------
    suffixes : frozenset of str
        Suffixes of the files of a recording, in lower case.
    label_suffixes : frozenset of str
        Suffixes of the label files that `read_labels` reads, in lower case; see `ANY_SUFFIX`.
    annotator_suffixes : tuple of str
        What follows RECORD.ANNOTATOR in the names of label files, for example ".csv" in
        "100.ecgfl.csv".
    """

    suffixes: frozenset[str] = frozenset()
    label_suffixes: frozenset[str] = frozenset()
    annotator_suffixes: tuple[str, ...] = ()

    def main_file(self, path: Path) -> Path:
        """Return the file by which the recording of `path` is read.

        The file need not exist.
        """
        return path

    def companions(self, path: Path) -> Iterable[Path]:
        """Return the other files of the recording at `path`; none for a file of another format."""
        del path
        return ()

    def listed_file(self, path: Path) -> Path | None:
        """Return the file of the recording that a RECORDS file lists as `path`, or None."""
        del path
        return None

    def is_label_file(self, path: Path) -> bool:
        """Return whether `path` holds labels and no recording, by its name."""
        del path
        return False

    def belongs_to_recording(self, path: Path) -> bool:
        """Return whether `path` lies beside a recording of its name that may own it.

        It applies only to files that no adapter recognises.
        """
        del path
        return False

    def read_labels(self, path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
        """Read a label file whose suffix is in `label_suffixes`.

        Parameters
        ----------
        path : Path
            The label file.
        request : LabelRequest
            What the reader needs to know about the recording.

        Returns
        -------
        tuple of BeatLabel
            The labels in order of their samples.

        Raises
        ------
        LabelsUnreadable
            If the file cannot be used.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no label files: {path} {request}")

    def check_uncorrected(self, path: Path) -> None:
        """Check a file with this program's own prediction for changes that would be ignored.

        Raises
        ------
        LabelsUnreadable
            If somebody changed a part of the file that is not read.
        """
        del path
