"""Signal formats of WFDB, and records with several signal files or rates.

Formats: https://physionet.org/physiotools/wag/signal-5.htm
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from ecgfl_adapters.errors import FileUnreadable, LeadMissing
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.wfdb.adapter import WfdbAdapter
from numpy.typing import NDArray

ADAPTER = WfdbAdapter()
DEFAULT = ReadOptions()
Counts = NDArray[np.int64]


def _counts(bits: int, frames: int = 600) -> Counts:
    """Two signals that use the whole range of a format, and change by less than 127 from sample to
    sample for format 8.
    """
    edge = min(2 ** (bits - 1) - 1, 2000)
    steps = np.random.default_rng(bits).integers(-90, 91, size=(frames, 2))
    return np.clip(np.cumsum(steps, axis=0), -edge, edge)


def _pairs_212(counts: Counts) -> bytes:
    first, second = (counts.ravel()[place::2] & 0xFFF for place in (0, 1))
    return (
        np.stack([first & 0xFF, (first >> 8) | ((second >> 8) << 4), second & 0xFF], axis=1)
        .astype(np.uint8)
        .tobytes()
    )


def _triples_310(counts: Counts) -> bytes:
    first, second, third = (counts.ravel()[place::3] & 0x3FF for place in range(3))
    low = (first << 1) | ((third & 0x1F) << 11)
    high = (second << 1) | ((third >> 5) << 11)
    return np.stack([low, high], axis=1).astype("<u2").tobytes()


def _triples_311(counts: Counts) -> bytes:
    first, second, third = (counts.ravel()[place::3] & 0x3FF for place in range(3))
    return (first | (second << 10) | (third << 20)).astype("<u4").tobytes()


PACKED: dict[str, tuple[int, Callable[[Counts], bytes]]] = {
    "8": (12, lambda counts: np.diff(counts, axis=0, prepend=counts[:1]).astype(np.int8).tobytes()),
    "16": (16, lambda counts: counts.astype("<i2").tobytes()),
    "24": (24, lambda counts: counts.astype("<i4").tobytes()),
    "32": (32, lambda counts: counts.astype("<i4").tobytes()),
    "61": (16, lambda counts: counts.astype(">i2").tobytes()),
    "80": (8, lambda counts: (counts + 128).astype(np.uint8).tobytes()),
    "160": (16, lambda counts: (counts + 2**15).astype("<u2").tobytes()),
    "212": (12, _pairs_212),
    "310": (10, _triples_310),
    "311": (10, _triples_311),
}


def _write(folder: Path, fmt: str, counts: Counts, raw: bytes) -> Path:
    if fmt == "24":
        raw = np.frombuffer(raw, np.uint8).reshape(-1, 4)[:, :3].tobytes()
    (folder / "r.dat").write_bytes(raw)
    lines = [
        f"r.dat {fmt} 200(0)/mV 12 0 {counts[0, place]} {int(counts[:, place].sum()) & 0xFFFF} 0 "
        f"{name}"
        for place, name in enumerate(("MLII", "V5"))
    ]
    path = folder / "r.hea"
    path.write_text("\n".join([f"r 2 250 {len(counts)}", *lines]) + "\n")
    return path


@pytest.mark.parametrize("fmt", PACKED)
def test_every_format_is_read_with_its_checksum(tmp_path: Path, fmt: str) -> None:
    bits, pack = PACKED[fmt]
    counts = _counts(bits)
    path = _write(tmp_path, fmt, counts, pack(counts))
    found = ADAPTER.read(path, DEFAULT)
    for place, lead in enumerate(found.leads):
        np.testing.assert_array_equal(lead.samples, (counts[:, place] / 200).astype(np.float32))


def _write_flac(folder: Path, fmt: str, counts: Counts) -> None:
    both = {"fmt": [fmt] * 2, "adc_gain": [200.0] * 2, "baseline": [0, 0]}
    wfdb.wrsamp(
        "r", 250, ["mV", "mV"], ["MLII", "V5"], d_signal=counts, write_dir=str(folder), **both
    )


@pytest.mark.parametrize(("fmt", "bits"), [("508", 8), ("516", 16), ("524", 24)])
def test_flac_in_every_width_is_read(tmp_path: Path, fmt: str, bits: int) -> None:
    counts = _counts(bits)
    _write_flac(tmp_path, fmt, counts)
    found = ADAPTER.read(tmp_path / "r.hea", DEFAULT)
    np.testing.assert_array_equal(found.leads[1].samples, (counts[:, 1] / 200).astype(np.float32))


def test_flac_that_is_damaged_is_refused(tmp_path: Path) -> None:
    counts = _counts(16)
    names = {"sig_name": ["MLII", "V5"], "units": ["mV", "mV"]}
    wfdb.wrsamp(
        "r",
        250,
        d_signal=counts,
        fmt=["516"] * 2,
        adc_gain=[200.0] * 2,
        baseline=[0, 0],
        write_dir=str(tmp_path),
        **names,
    )
    signal = tmp_path / "r.dat"
    signal.write_bytes(signal.read_bytes()[:200])
    with pytest.raises(FileUnreadable, match=r"r\.(dat|hea).*copy|Copy"):
        ADAPTER.read(tmp_path / "r.hea", DEFAULT)


def test_a_record_in_two_signal_files_is_one_recording(tmp_path: Path) -> None:
    counts = _counts(16)
    for place, name in enumerate(("a", "b")):
        (tmp_path / f"{name}.dat").write_bytes(counts[:, place].astype("<i2").tobytes())
    sums = [int(counts[:, place].sum()) & 0xFFFF for place in range(2)]
    lines = [
        f"{file}.dat 16 200/mV 12 0 0 {sums[at]} 0 {name}"
        for at, (file, name) in enumerate((("a", "MLII"), ("b", "V5")))
    ]
    (tmp_path / "r.hea").write_text("\n".join(["r 2 250 600", *lines]) + "\n")
    found = ADAPTER.read(tmp_path / "r.hea", DEFAULT)
    assert [lead.name for lead in found.leads] == ["MLII", "V5"]
    np.testing.assert_array_equal(found.leads[1].samples, (counts[:, 1] / 200).astype(np.float32))


def test_signals_of_several_rates_keep_the_ecgs_rate(tmp_path: Path) -> None:
    """Four ECG samples and one of respiration in each frame."""
    ecg, resp = np.arange(400), np.arange(100)
    frames = np.concatenate([ecg.reshape(100, 4), resp[:, None]], axis=1)
    (tmp_path / "r.dat").write_bytes(frames.astype("<i2").tobytes())
    (tmp_path / "r.hea").write_text(
        "r 2 62.5 100\nr.dat 16x4 200/mV 12 0 0 14264 0 II\nr.dat 16 100/mV 12 0 0 4950 0 Resp\n"
    )
    found = ADAPTER.read(tmp_path / "r.hea", DEFAULT)
    assert (found.fs, found.length, [lead.name for lead in found.leads]) == (250.0, 400, ["II"])
    np.testing.assert_array_equal(found.leads[0].samples, (ecg / 200).astype(np.float32))
    with pytest.raises(LeadMissing):
        ADAPTER.read(tmp_path / "r.hea", ReadOptions(leads=("V1",)))


def test_force_reads_wrong_checksum_with_remark(tmp_path: Path) -> None:
    counts = _counts(16)
    path = _write(tmp_path, "16", counts, counts.astype("<i2").tobytes())
    path.write_text(path.read_text().replace(str(int(counts[:, 1].sum()) & 0xFFFF), "77"))
    with pytest.raises(FileUnreadable, match=r"checksum of signal 2.*--force"):
        ADAPTER.read(path, DEFAULT)
    found = ADAPTER.read(path, ReadOptions(force=True))
    assert [remark.code for remark in found.remarks] == ["checksum"]
    assert "states 77" in found.remarks[0].problem


@pytest.mark.parametrize(
    "name",
    ["s3://bucket/r.dat", "http://example.org/r.dat", "../r.dat", "/etc/passwd", "..\\r.dat"],
)
def test_a_header_that_points_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "r.hea").write_text(f"r 1 250 600\n{name} 16 200/mV 12 0 0 0 0 MLII\n")
    with pytest.raises(FileUnreadable, match="Only files in the header's own folder are read"):
        ADAPTER.read(tmp_path / "r.hea", DEFAULT)


@pytest.mark.parametrize(
    ("comment", "age", "sex"),
    [
        ("# 69 M 1085 1629 x1", 69, "M"),
        ("# -1 M 742 654 x1", None, "M"),
        ("# <age>: 84  <sex>: F  <diagnoses> x", 84, "F"),
        ("# Age: 41 Sex: female", 41, "F"),
        ("# Aldomet, Inderal", None, None),
        ("# The PVCs are uniform", None, None),
    ],
)
def test_age_and_sex_are_taken_from_the_comments(
    tmp_path: Path, comment: str, age: int | None, sex: str | None
) -> None:
    counts = _counts(16)
    path = _write(tmp_path, "16", counts, counts.astype("<i2").tobytes())
    path.write_text(f"{path.read_text()}{comment}\n")
    source = ADAPTER.read(path, DEFAULT).source
    assert (source.age, source.sex) == (age, sex)
