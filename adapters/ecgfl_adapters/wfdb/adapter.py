"""The adapter of WFDB records: `x.hea` with its signal files and annotations."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from ecgfl_adapters.companions import companion
from ecgfl_adapters.errors import LeadMissing, RateUnknown
from ecgfl_adapters.labels import LABELS_SUFFIX, labels_for
from ecgfl_adapters.placeholders import is_placeholder
from ecgfl_adapters.protocol import ANY_SUFFIX, AdapterBase, LabelRequest, ReadOptions
from ecgfl_adapters.recording import BeatLabel, Recording, Source
from ecgfl_adapters.timeline import check_rate
from ecgfl_adapters.wfdb.annotations import read_annotations
from ecgfl_adapters.wfdb.header import WfdbHeader, header_path, read_header, referenced_files
from ecgfl_adapters.wfdb.leads import read_leads
from ecgfl_adapters.wfdb.segments import read_segments
from ecgfl_adapters.wfdb.writer import write_record

_AGE = re.compile(r"(?:<?age>?:?\s*)?(\d{1,3})(?=\s+(?:[FM]\b|<|sex)|\s*$)", re.IGNORECASE)
_PATIENT = re.compile(
    r"<?(?:(?:patient|subject|participant)[ _-]?(?:id|no\.?|nr\.?|number|code|name)"
    r"|mrn|subject|participant)>?\s*[:=]\s*(.+)",
    re.IGNORECASE,
)
_SEX = re.compile(r"(?:^-?\d{1,3}\s+|\bsex\b>?:?\s*)([FM])(?:\b|e?male\b)", re.IGNORECASE)


class WfdbAdapter(AdapterBase):
    """The format of PhysioNet.

    A record is named by its .hea file, its .dat file or without a suffix.
    """

    name = "wfdb"
    suffixes = frozenset({".hea", ".dat"})
    label_suffixes = frozenset({ANY_SUFFIX})
    annotator_suffixes = ("",)

    def recognises(self, path: Path) -> bool:
        """Return whether the path names a record with a header."""
        return (path.suffix.lower() in {".hea", ".dat"} or not path.is_file()) and header_path(
            path
        ).is_file()

    def read(self, path: Path, options: ReadOptions) -> Recording:
        """Read the record at its own rate.

        Signals in other units than volts are left out unless they are requested by name. Labels
        come from the `.atr` file beside the header unless `options.labels` says otherwise; those
        beyond the end of the signal are kept. The signals are checked against the lengths and
        checksums in the header.

        Raises
        ------
        AdapterError
            If the record cannot be used.
        """
        header = read_header(header_path(path))
        frame_fs = _frame_rate(header, options)
        stem = header.path.with_suffix("")
        fs, leads, remarks = (read_segments if header.segments else read_leads)(
            header, frame_fs, options
        )
        comments = {
            f"comment {number}": text
            for number, text in enumerate(header.comments, start=1)
            if text
        }
        beside = [stem.with_name(f"{stem.name}.atr"), stem.with_name(f"{stem.name}{LABELS_SUFFIX}")]
        labels = labels_for(stem, options, beside, fs, clock_fs=frame_fs)
        return Recording(
            name=stem.name,
            fs=fs,
            leads=leads,
            source=Source(
                path=header.path,
                format=self.name,
                patient=_patient(header.comments),
                age=_age(header.comments),
                sex=_sex(header.comments),
                start=header.start,
                identifiers=comments,
            ),
            labels=labels.labels,
            remarks=(*remarks, *labels.remarks),
            label_origin=labels.origin,
        )

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        """Write format 16: `.hea`, `.dat`, and `.atr` if there are labels.

        An empty list of labels makes an `.atr` without annotations. Samples are exact if the
        quantisation step and the range of the lead fit 16 bits, else they have the finest step that
        fits. NaN becomes the code -32768. The name of the record is that of the recording, with "_"
        for characters that WFDB does not allow.

        Raises
        ------
        ValueError
            For a symbol that WFDB does not know.
        """
        return write_record(recording, folder)

    def main_file(self, path: Path) -> Path:
        """Return the header of a record that is named by its .dat file or without a suffix."""
        if path.suffix.lower() == ".dat" or not os.path.lexists(path):
            return header_path(path)
        return path

    def companions(self, path: Path) -> Iterable[Path]:
        """Return the signal files and the segments' headers that a header names."""
        if path.suffix.lower() != ".hea":
            return ()
        return {companion(path, name) for name in referenced_files(path)}

    def listed_file(self, path: Path) -> Path:
        """Return the header of a record: RECORDS files list records without a suffix."""
        return header_path(path.with_name(f"{path.name}.hea"))

    def belongs_to_recording(self, path: Path) -> bool:
        """Return whether a header is beside the file: an annotation file may have any suffix."""
        if path.suffix.lower() in self.suffixes | {""}:
            return False
        return companion(path, f"{path.stem}.hea").is_file()

    def read_labels(self, path: Path, request: LabelRequest) -> tuple[BeatLabel, ...]:
        """Read an annotation file; see `annotations.read_annotations`."""
        return read_annotations(path, request)


def _frame_rate(header: WfdbHeader, options: ReadOptions) -> float:
    fs = header.fs or options.fs
    if not fs:
        raise RateUnknown(
            header.path, f"the header states the sampling rate {header.fs}", "Give it with --fs HZ"
        )
    if not header.signals and not header.segments:
        raise LeadMissing(
            header.path,
            "the header describes 0 signals",
            "Give the header of a record that holds an ECG",
        )
    check_rate(header.path, fs)
    return float(fs)


def _patient(comments: tuple[str, ...]) -> str:
    """Return the patient from "Patient ID: 4711" or "<subject_id>: 4711".

    It is "" if there is no such comment, or a placeholder.
    """
    stated = (match[1].strip() for text in comments if (match := _PATIENT.fullmatch(text.strip())))
    return next((identifier for identifier in stated if not is_placeholder(identifier)), "")


def _age(comments: tuple[str, ...]) -> int | None:
    """Return the age from "<age>: 69" in PhysioNet's databases, or "69 M ..." in those of mitdb."""
    return next((int(match[1]) for text in comments if (match := _AGE.match(text))), None)


def _sex(comments: tuple[str, ...]) -> Literal["F", "M"] | None:
    letter = next((match[1].upper() for text in comments if (match := _SEX.search(text))), None)
    return None if letter is None else "F" if letter == "F" else "M"
