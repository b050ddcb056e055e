"""Reads EDF and BDF headers and checks them before any sample is read.

Specifications: https://www.edfplus.info/specs/edf.html and
https://www.edfplus.info/specs/edfplus.html
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ecgfl_adapters.errors import FileMissing, FileUnreadable
from ecgfl_adapters.units import MAX_BASELINE

EDF_MAGIC = b"0       "
BDF_MAGIC = b"\xffBIOSEMI"
MAX_DIGITAL = 1 << 23
"""Largest digital value of BDF."""
_FIXED = 256
_EXPORT_AGAIN = "Copy the file again, or export it again from the recorder's software"
_SIGNAL_FIELDS = (
    ("label", 16),
    ("transducer", 80),
    ("dimension", 8),
    ("physical_min", 8),
    ("physical_max", 8),
    ("digital_min", 8),
    ("digital_max", 8),
    ("prefiltering", 80),
    ("samples", 8),
    ("reserved", 32),
)


@dataclass(frozen=True)
class EdfChannel:
    """The header of one signal. `samples` is the number of its samples in a data record."""

    label: str
    dimension: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    samples: int

    @property
    def is_annotations(self) -> bool:
        """Whether the channel holds annotations."""
        return self.label in {"EDF Annotations", "BDF Annotations"}

    @property
    def gain(self) -> float:
        """Physical units per digital unit; negative if the file stores the signal inverted."""
        return (self.physical_max - self.physical_min) / (self.digital_max - self.digital_min)


@dataclass(frozen=True)
class EdfHeader:
    """The header of an EDF or BDF file.

    `records` is the stated number of data records, or -1 while recording; `duration` is that of a
    data record in seconds; `size` is the length of the header in bytes.
    """

    is_bdf: bool
    patient: str
    recording: str
    start: datetime | None
    size: int
    records: int
    duration: float
    channels: tuple[EdfChannel, ...]

    @property
    def sample_bytes(self) -> int:
        """Number of bytes of a sample: 2 in EDF, 3 in BDF."""
        return 3 if self.is_bdf else 2

    @property
    def record_bytes(self) -> int:
        """Number of bytes of a data record."""
        return self.sample_bytes * sum(channel.samples for channel in self.channels)


def read_header(path: Path) -> EdfHeader:
    """Return the header of a file.

    Raises
    ------
    FileMissing
        If it cannot be opened.
    FileUnreadable
        If a field is not valid; the message has the field, its value and the expected value.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_FIXED)
            raw += file.read(max(0, _announced(raw) - len(raw)))
    except OSError as error:
        raise FileMissing(
            path, f"cannot be opened ({error.strerror})", "Check the path and its permissions"
        ) from error
    return _parse(path, raw)


def _announced(raw: bytes) -> int:
    """Return the length of the whole header in bytes according to the first bytes of the file.

    A wrong length is detected later.
    """
    count = raw[252:256].strip(b" \0")
    return _FIXED * (int(count) + 1) if count.isascii() and count.isdigit() else 0


def _parse(path: Path, raw: bytes) -> EdfHeader:
    if len(raw) < _FIXED:
        raise FileUnreadable(
            path, f"{len(raw)} bytes, less than the {_FIXED} of an EDF header", _EXPORT_AGAIN
        )
    if raw[:8] not in {EDF_MAGIC, BDF_MAGIC}:
        raise FileUnreadable(
            path,
            f"version field is {raw[:8]!r}: neither EDF nor BDF",
            "Give the format with --input-format, or convert it",
        )
    count = _whole(path, "number of signals", raw[252:256])
    size = _whole(path, "header size", raw[184:192])
    if count < 1 or size != _FIXED * (count + 1):
        raise FileUnreadable(
            path,
            f"header size {size} does not fit {count} signals (expected {_FIXED * (count + 1)})",
            _EXPORT_AGAIN,
        )
    if len(raw) < size:
        raise FileUnreadable(
            path, f"{len(raw)} bytes, but the header alone has {size}", _EXPORT_AGAIN
        )
    header = EdfHeader(
        is_bdf=raw[:8] == BDF_MAGIC,
        patient=_text(raw[8:88]),
        recording=_text(raw[88:168]),
        start=_start(_text(raw[168:176]), _text(raw[176:184])),
        size=size,
        records=_whole(path, "number of data records", raw[236:244]),
        duration=_number(path, "duration of a data record", raw[244:252]),
        channels=_channels(path, raw, count),
    )
    if not header.duration > 0 and not all(channel.is_annotations for channel in header.channels):
        raise FileUnreadable(
            path, f"duration of a data record is {header.duration:g} s", _EXPORT_AGAIN
        )
    for channel in header.channels:
        if channel.samples < 1:
            raise FileUnreadable(
                path,
                f"channel {channel.label!r} has {channel.samples} samples a data record",
                _EXPORT_AGAIN,
            )
    return header


def check_scale(path: Path, channel: EdfChannel, bits: int) -> None:
    """Raise `FileUnreadable` for a channel whose limits give no scale."""
    if channel.digital_min >= channel.digital_max:
        raise FileUnreadable(
            path,
            f"channel {channel.label!r} has digital minimum {channel.digital_min} and maximum "
            f"{channel.digital_max}",
            f"Leave the channel out: name the others with --lead NAME. {_EXPORT_AGAIN}",
        )
    if max(-channel.digital_min, channel.digital_max) > MAX_DIGITAL:
        raise FileUnreadable(
            path,
            f"channel {channel.label!r} has digital minimum {channel.digital_min:g} and maximum "
            f"{channel.digital_max:g}, "
            f"beyond the {MAX_DIGITAL} of 24 bits",
            f"Leave the channel out: name the others with --lead NAME. {_EXPORT_AGAIN}",
        )
    if max(-channel.digital_min - 1, channel.digital_max) > 1 << (bits - 1):
        raise FileUnreadable(
            path,
            f"channel {channel.label!r} has digital minimum {channel.digital_min:g} and maximum "
            f"{channel.digital_max:g}, "
            f"which {bits} signed bits do not hold: unsigned samples would be misread",
            "Export the file again with a digital range of -32768 to 32767, or name other leads "
            "with --lead NAME",
        )
    if channel.physical_min == channel.physical_max:
        raise FileUnreadable(
            path,
            f"channel {channel.label!r} has physical minimum and maximum {channel.physical_min:g}",
            "Name the other channels with --lead NAME, or give this one's scale with --units "
            f"adc:GAIN. {_EXPORT_AGAIN}",
        )
    if abs(channel.physical_max) > MAX_BASELINE * abs(channel.gain):
        raise FileUnreadable(
            path,
            f"channel {channel.label!r} has physical minimum {channel.physical_min:g} and maximum "
            f"{channel.physical_max:g}, "
            "too close to each other and too far from 0 to tell samples apart",
            f"Leave the channel out: name the others with --lead NAME. {_EXPORT_AGAIN}",
        )


def _channels(path: Path, raw: bytes, count: int) -> tuple[EdfChannel, ...]:
    columns: dict[str, list[bytes]] = {}
    position = _FIXED
    for field, width in _SIGNAL_FIELDS:
        columns[field] = [
            raw[position + width * index : position + width * (index + 1)] for index in range(count)
        ]
        position += width * count
    labels = [_text(raw_label) for raw_label in columns["label"]]

    def number(field: str, index: int) -> float:
        return _number(
            path, f"{field.replace('_', ' ')} of channel {labels[index]!r}", columns[field][index]
        )

    def whole(field: str, index: int) -> int:
        return _whole(
            path, f"{field.replace('_', ' ')} of channel {labels[index]!r}", columns[field][index]
        )

    return tuple(
        EdfChannel(
            label=labels[index],
            dimension=_text(columns["dimension"][index]),
            physical_min=number("physical_min", index),
            physical_max=number("physical_max", index),
            digital_min=whole("digital_min", index),
            digital_max=whole("digital_max", index),
            samples=whole("samples", index),
        )
        for index in range(count)
    )


def _text(raw: bytes) -> str:
    """Decode a field. EDF allows ASCII; recorders write UTF-8 and Latin-1 as well ("µV")."""
    try:
        return raw.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip(" \0")


def _number(path: Path, field: str, raw: bytes) -> float:
    text = _text(raw)
    try:
        value = float(text)
    except ValueError as error:
        raise FileUnreadable(path, f"{field} is {text!r}, not a number", _EXPORT_AGAIN) from error
    if not abs(value) < float("inf"):
        raise FileUnreadable(path, f"{field} is {text!r}", _EXPORT_AGAIN)
    return value


def _whole(path: Path, field: str, raw: bytes) -> int:
    value = _number(path, field, raw)
    if value != int(value):
        raise FileUnreadable(path, f"{field} is {value:g}, not a whole number", _EXPORT_AGAIN)
    return int(value)


def _start(date: str, time: str) -> datetime | None:
    """Return the start of the recording; None for a date that cannot be read.

    1 January 1985 is the date of anonymised files and is kept.
    """
    try:
        return datetime.strptime(f"{date} {time}", "%d.%m.%y %H.%M.%S")
    except ValueError:
        return None
