"""Tables of numbers as text, with a column for each lead and possibly a time column."""

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
    """CSV, TSV and plain columns, with or without a header, comments, a time column and gzip."""

    name = "csv"
    suffixes = frozenset({".csv", ".tsv", ".txt"})
    label_suffixes = suffixes
    annotator_suffixes = (".csv",)

    def recognises(self, path: Path) -> bool:
        """Return whether the file has the suffix .csv or .tsv, or .txt and rows of numbers.

        Label files are not recordings.
        """
        suffix = _without_gz(path).suffix.lower()
        if suffix not in self.suffixes or self.is_label_file(path) or not path.is_file():
            return False
        return suffix != ".txt" or _starts_with_numbers(path)

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the columns that may be an ECG, or those that `options.leads` names.

        The rate is that of a layout in `TableOptions` or of a line above the rows, else that of the
        time column, else `options.fs`. A jump in the time or sample column is a gap and becomes
        NaN. Labels come from `NAME.labels.csv` or `NAMEannotations.txt` beside the file unless
        `options.labels` says otherwise.

        Raises
        ------
        AdapterError
            If the file cannot be used.
        """
        return read_understood(path, options, [])

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write `NAME.csv` and, if there are labels, `NAME.labels.csv`; see `writer.write_csv`."""
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
    """Read a table, and note how it was understood.

    Parameters
    ----------
    path : Path
        The file.
    options : ReadOptions
        How to read it.
    notes : list of Understood
        Takes what is found out about the file.

    Raises
    ------
    AdapterError
        If the file cannot be used.
    """
    understanding = understand(path, options, notes)
    signal = read_signal(understanding)
    plain = _without_gz(path)
    beside = [
        path.with_name(f"{plain.stem}{LABELS_SUFFIX}"),
        path.with_name(f"{plain.stem}{ANNOTATIONS_SUFFIX}"),
        path.with_name(f"{plain.stem}.atr"),
    ]
    source = Source(
        path=path,
        format=CsvAdapter.name,
        patient=understanding.statements.patient,
        person=understanding.statements.person,
        identifiers=_identifiers(understanding),
    )
    labels = labels_for(plain.with_suffix(""), options, beside, signal.fs, axis=signal.axis)
    remarks = (*understanding.remarks, *signal.remarks, *signal.axis.remarks, *labels.remarks)
    recording = Recording(
        plain.stem, signal.fs, signal.leads, source, labels.labels, remarks, labels.origin
    )
    notes += _notes_on_all_rows(understanding, recording)
    return recording


def _notes_on_all_rows(understanding: Understanding, recording: Recording) -> list[Understood]:
    """Return the notes that need all rows."""
    gaps = recording.gaps()
    absent = sum(gap.stop - gap.start for gap in gaps) / recording.fs
    rate = (
        []
        if understanding.fs is not None
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


def _identifiers(understanding: Understanding) -> dict[str, str]:
    stated = {
        statement.key.lower(): statement.value
        for statement in understanding.statements.all
        if statement.key.lower() not in {FS_COMMENT, STEP_COMMENT}
    }
    opensignals = understanding.opensignals
    return stated | (opensignals.identifiers if opensignals is not None else {})
