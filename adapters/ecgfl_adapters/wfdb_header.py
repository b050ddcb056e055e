"""The text of a WFDB header, checked before any library opens what it names.

wfdb reads headers as ASCII and drops what is not: a unit "µV" would become "V". Units and names are therefore taken from here.
Format: https://physionet.org/physiotools/wag/header-5.htm
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ecgfl_adapters.errors import FileMissing, FileUnreadable

MAX_BASELINE = 1 << 31
"""ADC units; a sample has no more than 32 bits."""

LONGEST_LINE = 2000
"""Characters; the format allows 255."""

_RECORD = re.compile(
    r"(?P<name>[-\w]+)(?:/(?P<segments>\d+))?\s+(?P<signals>\d+)"
    r"(?:\s+(?P<fs>\d*\.?\d+(?:[eE][+-]?\d+)?)(?:/\S+)?(?:\s+(?P<length>\d+)(?:\s+(?P<start>.*))?)?)?\s*"
)
_FORMAT = re.compile(r"(?P<fmt>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?")
_GAIN = re.compile(r"(?P<gain>-?\d*\.?\d+(?:[eE][+-]?\d+)?|-?\d+\.)(?:\((?P<baseline>-?\d+)\))?(?:/(?P<units>\S+))?")
_SAFE_NAME = re.compile(r"~|[-\w]{1,100}(?:\.\w{1,20})?")


@dataclass(frozen=True)
class SignalSpec:
    """One signal line. `gain` is in ADC units per `units`, 0 where the header does not state one; `units` may be ""."""

    file: str
    fmt: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    units: str
    checksum: int | None
    name: str


@dataclass(frozen=True)
class Segment:
    """One line of a multi-segment header. `name` is "~" for a gap; `length` in samples at the record's rate."""

    name: str
    length: int


@dataclass(frozen=True)
class Header:
    """A header file. `fs` in frames a second and `length` in frames a signal are None where it does not state them."""

    path: Path
    fs: float | None
    length: int | None
    start: datetime | None
    signals: tuple[SignalSpec, ...]
    segments: tuple[Segment, ...]
    comments: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Parse `path`, a .hea file. Raises `FileMissing` and `FileUnreadable`."""
    text = _text(path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    comments = tuple(line[:LONGEST_LINE].strip("# \t") for line in lines if line.startswith("#"))
    lines = [line for line in lines if not line.startswith("#")]
    if lines and len(max(lines, key=len)) > LONGEST_LINE:
        raise _broken(path, f"a line of the header has {len(max(lines, key=len))} characters, more than {LONGEST_LINE}")
    record = _RECORD.fullmatch(lines[0]) if lines else None
    if record is None:
        first = repr(lines[0][:60]) if lines else "no text"
        raise _broken(path, f"the record line should be 'NAME SIGNALS RATE SAMPLES', but the header has {first}")
    count = int(record["segments"] or record["signals"])
    if len(lines) - 1 != count:
        raise _broken(path, f"the record line announces {count} lines, but {len(lines) - 1} follow")
    body = lines[1 : 1 + count]
    return Header(
        path=path,
        fs=float(record["fs"]) if record["fs"] else None,
        length=int(record["length"]) if record["length"] else None,
        start=_start(record["start"]),
        signals=() if record["segments"] else tuple(_signal(path, line) for line in body),
        segments=tuple(_segment(path, line) for line in body) if record["segments"] else (),
        comments=comments,
    )


def referenced_files(path: Path) -> set[str]:
    """Names of the signal files and segment headers that a header names; empty when it cannot be read."""
    try:
        header = read_header(path)
    except (FileMissing, FileUnreadable):
        return set()
    return {signal.file for signal in header.signals} | {f"{segment.name}.hea" for segment in header.segments}


def _broken(path: Path, problem: str) -> FileUnreadable:
    return FileUnreadable(path, problem, "Copy the .hea file again from where the record was made")


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileMissing(
            path, f"cannot be opened ({error.strerror})", "Check the path, and that its .hea file is there"
        ) from error
    if not raw.strip():
        raise _broken(path, "the header file is empty")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileUnreadable(
            path,
            f"byte {error.start} (0x{raw[error.start]:02x}) of the header is no UTF-8 text",
            "If it is a WFDB header, save it as UTF-8; otherwise copy the file again",
        ) from error


def _signal(path: Path, line: str) -> SignalSpec:
    fields = line.split(maxsplit=8)
    form = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if form is None:
        raise _broken(path, f"the signal line {line[:60]!r} does not start with a file name and a format")
    if not _SAFE_NAME.fullmatch(fields[0]):
        raise FileUnreadable(
            path,
            f"the header names the signal file {fields[0][:60]!r}",
            "Only files in the header's own folder are read: put the signal file there and name it without a path",
        )
    gain = _GAIN.fullmatch(fields[2]) if len(fields) > 2 else None
    if len(fields) > 2 and gain is None:
        raise _broken(path, f"the signal line {line[:60]!r} has the gain {fields[2]!r}")
    numbers = [_whole(path, line, field) for field in fields[3:8]]
    zero = numbers[1] if len(numbers) > 1 else 0
    baseline = int(gain["baseline"]) if gain and gain["baseline"] else zero
    if abs(baseline) > MAX_BASELINE:
        raise _broken(path, f"the signal line {line[:60]!r} has the baseline {baseline}, beyond 32 bits")
    return SignalSpec(
        file=fields[0],
        fmt=form["fmt"],
        per_frame=int(form["per_frame"] or 1),
        skew=int(form["skew"] or 0),
        offset=int(form["offset"] or 0),
        gain=float(gain["gain"]) if gain else 0.0,
        baseline=baseline,
        units=(gain["units"] or "") if gain else "",
        checksum=numbers[3] if len(numbers) > 3 else None,
        name=fields[8] if len(fields) > 8 else "",
    )


def _whole(path: Path, line: str, field: str) -> int:
    try:
        return int(field)
    except ValueError as error:
        raise _broken(path, f"the signal line {line[:60]!r} has {field!r} where a whole number should be") from error


def _segment(path: Path, line: str) -> Segment:
    match = re.fullmatch(r"(~|[-\w]{1,100})\s+(\d+)", line)
    if match is None:
        raise _broken(path, f"the segment line {line[:60]!r} should be 'NAME SAMPLES'")
    return Segment(match[1], int(match[2]))


def _start(text: str | None) -> datetime | None:
    """Base time and date, where the header gives both in full."""
    for form in ("%H:%M:%S %d/%m/%Y", "%H:%M:%S.%f %d/%m/%Y"):
        try:
            return datetime.strptime(" ".join((text or "").split()), form)
        except ValueError:
            continue
    return None
