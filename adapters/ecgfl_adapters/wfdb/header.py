"""Parses the text of a WFDB header and checks it before a library opens the files it names.

The wfdb package reads headers as ASCII and drops other characters, so the unit "µV" would become
"V". Units and names are therefore taken from here. Format:
https://physionet.org/physiotools/wag/header-5.htm
"""

import codecs
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.companions import absence, companion, content_of
from ecgfl_adapters.errors import FileMissing, FileUnreadable

MAX_BASELINE = 1 << 31
"""Largest baseline in ADC units; a sample has at most 32 bits."""

LARGEST_HEADER = 1 << 22
"""Largest size of a header in bytes. A signal line has about 60 bytes, a segment line about 20."""

MOST_LINES = 10_000
"""Largest number of signals or segments of a record."""

LONGEST_LINE = 2000
"""Largest length of a line in characters; the format allows 255."""

_RATE = re.compile(r"(?P<fs>\+?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:[/(]\S*)?")
_LENGTH = re.compile(r"(\d+)(?:\.0*)?")
_DATE_OR_TIME = re.compile(r"\[?\d+[-:/.]\w.*")
_FORMAT = re.compile(
    r"(?P<fmt>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?"
)
_GAIN = re.compile(
    r"(?P<gain>[-+]?\d*\.?\d+(?:[eE][+-]?\d+)?|[-+]?\d+\.)(?:\((?P<baseline>[-+]?\d+)\))?(?:/(?P<units>\S+))?"
)
_OTHER_FOLDER = re.compile(r"[/\\:\x00-\x1f]|^\.*$|.{201}")
"""Matches text that cannot be a file name in the header's folder; 200 characters leave room for a
suffix.
"""
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
"""Bytes that do not occur in text; 0x1b is allowed and handled where the text is shown."""
_ABSENT = {"-", "?", "na", "n/a", "nan", "none", "null"}
"""Text that converters write in place of an unknown number."""

GAP = "~"
"""Name of a segment that is a gap."""

NULL = "0"
"""Format of a signal without samples in the record."""


@dataclass(frozen=True)
class SignalSpec:
    """A signal line.

    `gain` is in ADC units per `units`, and 0 if the header does not state it; `units` may be "".
    """

    file: str
    fmt: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    units: str
    initial: int
    checksum: int | None
    name: str


@dataclass(frozen=True)
class Segment:
    """A line of a multi-segment header.

    `name` is `GAP` for a gap; `length` is in samples at the rate of the record.
    """

    name: str
    length: int


@dataclass(frozen=True)
class WfdbHeader:
    """A header file.

    `fs` in frames per second and `length` in frames are None if the header does not state them; a
    stated length of 0 means that it is not known.
    """

    path: Path
    fs: float | None
    length: int | None
    start: datetime | None
    signals: tuple[SignalSpec, ...]
    segments: tuple[Segment, ...]
    comments: tuple[str, ...]


def read_header(path: Path) -> WfdbHeader:
    """Parse a .hea file.

    Raises
    ------
    FileMissing
        If it cannot be opened.
    FileUnreadable
        If a line is not valid; the message quotes it.
    """
    text = _text(path)
    lines = [line.strip() for line in re.split(r"\r\n?|\n", text) if line.strip()]
    comments = tuple(line[:LONGEST_LINE].strip("# \t") for line in lines if line.startswith("#"))
    lines = [line for line in lines if not line.startswith("#")]
    if lines and len(max(lines, key=len)) > LONGEST_LINE:
        raise _broken(
            path,
            f"a line of the header has {len(max(lines, key=len))} characters, more than "
            f"{LONGEST_LINE}",
        )
    if not lines:
        raise _broken(
            path, "the header holds comments only, no record line 'NAME SIGNALS RATE SAMPLES'"
        )
    record = _record_line(path, lines[0])
    if record.lines > MOST_LINES:
        raise _broken(
            path,
            f"the record line announces {record.lines} lines, more than the {MOST_LINES} that are "
            "read",
        )
    body = lines[1:]
    if len(body) != record.lines:
        raise _broken(
            path, f"the record line announces {record.lines} lines, but {len(body)} follow"
        )
    return WfdbHeader(
        path=path,
        fs=record.fs,
        length=record.length,
        start=_start(record.start),
        signals=() if record.is_segmented else tuple(_signal(path, line) for line in body),
        segments=tuple(_segment(path, line) for line in body) if record.is_segmented else (),
        comments=comments,
    )


class _RecordLine(NamedTuple):
    """A record line. `lines` is the number of lines that follow.

    `start` holds the time and the date as they are written, or "".
    """

    lines: int
    is_segmented: bool
    fs: float | None
    length: int | None
    start: str


def _record_line(path: Path, line: str) -> _RecordLine:
    """Parse 'NAME[/SEGMENTS] SIGNALS [RATE [SAMPLES [TIME [DATE]]]]'.

    Time and date may have any form, or follow the rate.
    """
    fields = line.split()
    _, slash, segments = fields[0].partition("/")
    counts = [segments, fields[1]] if slash and len(fields) > 1 else fields[1:2]
    if not counts or not all(count.isascii() and count.isdigit() for count in counts):
        raise _broken(
            path,
            "the record line should be 'NAME SIGNALS RATE SAMPLES', but the header has "
            f"{line[:60]!r}",
        )
    rate = _RATE.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and rate is None:
        raise _broken(
            path,
            f"field 3 of the record line {line[:60]!r} is {fields[2][:20]!r}, not a sampling rate",
        )
    length = _LENGTH.fullmatch(fields[3]) if len(fields) > 3 else None
    if len(fields) > 3 and length is None and not _DATE_OR_TIME.fullmatch(fields[3]):
        raise _broken(
            path,
            f"field 4 of the record line {line[:60]!r} is {fields[3][:20]!r}, not a number of "
            "samples",
        )
    return _RecordLine(
        lines=int(counts[0]),
        is_segmented=bool(slash),
        fs=float(rate["fs"]) if rate else None,
        length=int(length[1]) or None if length else None,
        start=" ".join(fields[4 if length else 3 :]),
    )


def header_path(path: Path) -> Path:
    """Return the .hea file of a record that is named by it, by a signal file or without a suffix.

    The name of a signal file may have more dots than that of its header ("r1.v2.dat" of "r1.hea"),
    if the header names it.
    """
    if path.suffix.lower() == ".hea":
        return companion(path, path.name)
    if path.suffix.lower() != ".dat":
        return companion(path, f"{path.name}.hea")
    parts = path.stem.split(".")
    for count in range(len(parts), 0, -1):
        header = companion(path, f"{'.'.join(parts[:count])}.hea")
        if header.is_file() and (
            count == len(parts)
            or path.name.casefold() in map(str.casefold, referenced_files(header))
        ):
            return header
    return path.with_suffix(".hea")


def referenced_files(path: Path) -> set[str]:
    """Return the names of the signal files and segment headers that a header names.

    The result is empty if the header cannot be read.
    """
    try:
        header = read_header(path)
    except (FileMissing, FileUnreadable):
        return set()
    signals = {signal.file for signal in header.signals if signal.fmt != NULL}
    return signals | {f"{segment.name}.hea" for segment in header.segments if segment.name != GAP}


def _broken(path: Path, problem: str) -> FileUnreadable:
    return FileUnreadable(path, problem, "Copy the .hea file again from where the record was made")


def _text(path: Path) -> str:
    """Return the text of a header, in UTF-8 or in an 8-bit encoding.

    Only units and comments can show the difference.
    """
    absent = absence(path)
    if absent is not None:
        raise FileMissing(path, absent.problem, absent.fix)
    try:
        raw = read_bounded(content_of(path), LARGEST_HEADER)
    except OSError as error:
        raise FileMissing(
            path,
            f"cannot be opened ({error.strerror})",
            "Check the path, and that its .hea file exists and is a text file",
        ) from error
    if not raw.strip():
        raise _broken(path, "the header file is empty")
    try:
        text = raw.decode(
            "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        )
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    control = _CONTROL.search(text.rstrip("\x00\x1a"))  # the end mark of DOS
    if control is not None:
        raise FileUnreadable(
            path,
            f"character {control.start()} of the header is {control[0]!r}: not a text",
            "If it is a WFDB header, copy the file again; else give the recording's format with "
            "--input-format",
        )
    return text.rstrip("\x00\x1a")


def _signal(path: Path, line: str) -> SignalSpec:
    fields = line.split(maxsplit=8)
    form = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if form is None:
        raise _broken(
            path, f"the signal line {line[:60]!r} does not start with a file name and a format"
        )
    if _OTHER_FOLDER.search(fields[0]):
        raise FileUnreadable(
            path,
            f"the header names the signal file {fields[0][:60]!r}",
            "Only files in the header's own folder are read: put the signal file there and name it "
            "without a path",
        )
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and gain is None:
        raise _broken(path, f"the signal line {line[:60]!r} has the gain {fields[2]!r}")
    numbers, name = _numbers_and_name(line)
    zero = (numbers[1] or 0) if len(numbers) > 1 else 0
    baseline = int(gain["baseline"]) if gain and gain["baseline"] else zero
    if abs(baseline) > MAX_BASELINE:
        raise _broken(
            path, f"the signal line {line[:60]!r} has the baseline {baseline}, beyond 32 bits"
        )
    return SignalSpec(
        file=fields[0],
        fmt=form["fmt"],
        per_frame=int(form["per_frame"] or 1),
        skew=int(form["skew"] or 0),
        offset=int(form["offset"] or 0),
        gain=float(gain["gain"]) if gain else 0.0,
        baseline=baseline,
        units=(gain["units"] or "") if gain else "",
        initial=(numbers[2] or 0) if len(numbers) > 2 else 0,
        checksum=numbers[3] if len(numbers) > 3 else None,
        name=name,
    )


def _numbers_and_name(line: str) -> tuple[list[int | None], str]:
    """Return up to five whole numbers after the gain, and the rest of the line.

    A header may leave out the last ones. None stands for a number that is marked as unknown.
    """
    rest = "".join(line.split(maxsplit=3)[3:])
    numbers: list[int | None] = []
    while rest and len(numbers) < 5:
        field, *others = rest.split(maxsplit=1)
        number = re.fullmatch(r"([-+]?\d+)(?:\.0*)?", field, re.ASCII)
        if number is None and field.lower() not in _ABSENT:
            break
        numbers.append(int(number[1]) if number else None)
        rest = others[0] if others else ""
    return numbers, rest


def _segment(path: Path, line: str) -> Segment:
    match = re.fullmatch(r"(\S+)\s+(\d+)", line, re.ASCII)
    if match is None or _OTHER_FOLDER.search(match[1]):
        raise _broken(path, f"the segment line {line[:60]!r} should be 'NAME SAMPLES'")
    return Segment(match[1], int(match[2]))


def _start(text: str | None) -> datetime | None:
    """Return base time and date if the header states both in full."""
    for form in ("%H:%M:%S %d/%m/%Y", "%H:%M:%S.%f %d/%m/%Y"):
        try:
            return datetime.strptime(" ".join((text or "").split()), form)
        except ValueError:
            continue
    return None
