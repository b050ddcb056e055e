"""EDF files for tests, written with edfio."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import edfio
import numpy as np
from ecgfl_adapters.edf.header import read_header


def edf_signal(
    label: str, unit: str = "mV", fs: float = 100.0, seconds: int = 10
) -> edfio.EdfSignal:
    wave = np.sin(np.arange(int(fs * seconds)) / 9)
    return edfio.EdfSignal(wave, fs, label=label, physical_dimension=unit, physical_range=(-2, 2))


def write_edf_file(
    path: Path,
    signals: Sequence[edfio.EdfSignal],
    annotations: Sequence[edfio.EdfAnnotation] | None = None,
) -> Path:
    edfio.Edf(signals, annotations=annotations).write(path)
    return path


def without_continuity(path: Path, starts: Sequence[int]) -> Path:
    """Turn an EDF+C file with 1 s data records into EDF+D; records start at `starts` seconds."""
    raw = path.read_bytes().replace(b"EDF+C", b"EDF+D", 1)
    for number, start in reversed(list(enumerate(starts))):
        longer = len(str(start)) - len(str(number))
        raw = raw.replace(
            f"+{number}\x14\x14".encode() + bytes(longer), f"+{start}\x14\x14".encode()
        )
    path.write_bytes(raw)
    return path


def with_stamps(tmp_path: Path, every: float, records: int, notes: Mapping[int, str]) -> Path:
    """Write data records of 1 s that start every `every` seconds.

    `notes` holds annotations by the data record in whose middle they are.
    """
    path = write_edf_file(
        tmp_path / "x.edf",
        [edf_signal("ECG", seconds=records)],
        [edfio.EdfAnnotation(0, None, "x" * 40)],
    )
    header, raw = read_header(path), bytearray(path.read_bytes())
    width = header.channels[-1].samples * header.sample_bytes
    for number in range(records):
        text = f"+{number * every:.4f}\x14\x14\0"
        text += f"+{number * every + 0.5:.4f}\x14{notes[number]}\x14\0" if number in notes else ""
        end = header.size + (number + 1) * header.record_bytes
        raw[end - width : end] = text.encode().ljust(width, b"\0")
    path.write_bytes(raw)
    return path
