"""Tables of numbers as text: a column for each lead, and a time column or a rate given by hand."""

from pathlib import Path

from ecgfl_adapters.errors import AdapterError
from ecgfl_adapters.label_origin import is_prediction
from ecgfl_adapters.labels import LABELS_SUFFIX, labels_for
from ecgfl_adapters.protocol import AdapterBase, LabelRequest, ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording, Source
from ecgfl_adapters.tables.labels import check_class_column, read_table_labels
from ecgfl_adapters.tables.layout import Understood
from ecgfl_adapters.tables.reader import read_signal
from ecgfl_adapters.tables.sniff import holds_rows
from ecgfl_adapters.tables.text_file import open_text
from ecgfl_adapters.tables.understanding import Understanding, understand
from ecgfl_adapters.tables.writer import FS_COMMENT, STEP_COMMENT, write_csv

ANNOTATIONS_SUFFIX = "annotations.txt"
_FEW_BYTES = 1 << 14


class CsvAdapter(AdapterBase):
    """CSV, TSV and plain columns, also packed with gzip, with or without a header, comments and a
    time column.
    """

    name = "csv"
    suffixes = frozenset({".csv", ".tsv", ".txt"})
    label_suffixes = suffixes
    annotator_suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        """By the suffix .csv or .tsv; .txt only if its first lines hold a row of numbers.

        Label files are not recordings.
        """
        suffix = _without_gz(path).suffix.lower()
        if suffix not in self.suffixes or self.is_label_file(path) or not path.is_file():
            return False
        return suffix != ".txt" or _starts_with_numbers(path)

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the columns that may be an ECG, or those that `options.leads` names.

        The rate is what a layout of `TableOptions` or a line above the rows states, else what the
        time column shows, else `options.fs`. A jump in the time or sample column is a gap and
        becomes NaN. Labels are `NAME.labels.csv` or `NAMEannotations.txt` beside the file unless
        `options.labels` says otherwise. Raises `AdapterError`.
        """
        return read_understood(path, options, [])

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.csv` (`time_s,<lead> (mV),...`, an empty cell for NaN) and, if there are
        labels, `NAME.labels.csv`.
        """
        return write_csv(recording, folder)

    def is_label_file(self, path: Path) -> bool:
        """Return whether the name says that the file holds beat labels or results of ecgfl."""
        return is_prediction(path) or path.name.lower().endswith(
            (LABELS_SUFFIX, ANNOTATIONS_SUFFIX)
        )

    def read_labels(self, path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
        """Read a table of labels; see `labels.read_table_labels`."""
        return read_table_labels(path, request)

    def check_uncorrected(self, path: Path) -> None:
        """Check that nobody corrected the class of a beat instead of its symbol."""
        check_class_column(path)


def read_understood(path: Path, options: ReadOptions, notes: list[Understood]) -> Recording:
    """Read a table, and tell `notes` what was understood of it. Raises `AdapterError`."""
    found = understand(path, options, notes)
    signal = read_signal(found)
    plain = _without_gz(path)
    beside = [
        path.with_name(f"{plain.stem}{LABELS_SUFFIX}"),
        path.with_name(f"{plain.stem}{ANNOTATIONS_SUFFIX}"),
        path.with_name(f"{plain.stem}.atr"),
    ]
    source = Source(
        path=path,
        format=CsvAdapter.name,
        patient=found.statements.patient,
        person=found.statements.person,
        identifiers=_identifiers(found),
    )
    labels = labels_for(plain.with_suffix(""), options, beside, signal.fs, axis=signal.axis)
    remarks = (*found.remarks, *signal.remarks, *signal.axis.remarks, *labels.remarks)
    recording = Recording(
        plain.stem, signal.fs, signal.leads, source, labels.labels, remarks, labels.origin
    )
    notes += _of_the_whole(found, recording)
    return recording


def _of_the_whole(found: Understanding, recording: Recording) -> list[Understood]:
    """What only all rows can tell."""
    gaps = recording.gaps()
    absent = sum(gap.stop - gap.start for gap in gaps) / recording.fs
    rate = (
        []
        if found.fs is not None
        else [Understood("rate", f"{recording.fs:.9g} Hz", "all rows of the time column")]
    )
    return [
        *rate,
        Understood("length", f"{recording.length} samples, {recording.seconds:.1f} s", "all rows"),
        Understood(
            "gaps",
            f"{len(gaps)}, {absent:.1f} s" if gaps else "none",
            "jumps in the time column, and empty cells",
        ),
        Understood(
            "labels",
            "none" if recording.labels is None else str(len(recording.labels)),
            "a file beside, or --labels",
        ),
    ]


def _without_gz(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _starts_with_numbers(path: Path) -> bool:
    try:
        return holds_rows(open_text(path, _FEW_BYTES).lines)
    except (OSError, AdapterError):
        return False


def _identifiers(found: Understanding) -> dict[str, str]:
    stated = {
        each.key.lower(): each.value
        for each in found.statements.all
        if each.key.lower() not in {FS_COMMENT, STEP_COMMENT}
    }
    return stated | (found.opensignals.identifiers if found.opensignals is not None else {})
