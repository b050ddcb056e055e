"""Write the files in `tests/data/invalid`: `python tests/data/make_invalid.py`.

Each has the fault that its name says. Mutated files with such faults once crashed a reader, kept it
busy or made it ask for terabytes.
"""

import struct
from pathlib import Path

FOLDER = Path(__file__).parent / "invalid"
MONTH = 2_600_000
"""Seconds, a little less than the 31 days that a recording may last."""

ANNOTATIONS = {"label": "EDF Annotations", "dim": "", "pmin": "-1", "pmax": "1", "samples": "16"}
SIGNAL = b"\0\1" * 100
ROWS = "".join(f"{number / 250:.3f},0.{number % 9}\n" for number in range(40))


def edf(
    payload: bytes = SIGNAL,
    *,
    records: str = "2",
    duration: str = "1",
    stamped: bool = False,
    **channel: str,
) -> bytes:
    """Return an EDF file with one channel; if stamped, EDF+D with an annotation channel too."""
    usual = {
        "label": "ECG II",
        "dim": "mV",
        "pmin": "-5",
        "pmax": "5",
        "dmin": "-32768",
        "dmax": "32767",
        "samples": "50",
    }
    channels = [usual | channel, *([usual | ANNOTATIONS] if stamped else [])]
    widths = {
        "label": 16,
        "transducer": 80,
        **dict.fromkeys(("dim", "pmin", "pmax", "dmin", "dmax"), 8),
        "filter": 80,
    }
    widths |= {"samples": 8, "reserved": 32}
    size = 256 * (len(channels) + 1)
    kind = "EDF+D" if stamped else ""
    header = f"{0:<8}{'X X X X':<80}{'Startdate X X X X':<80}01.01.8500.00.00{size:<8}{kind:<44}"
    header += f"{records:<8}{duration:<8}{len(channels):<4}"
    header += "".join(
        each.get(field, "").ljust(width) for field, width in widths.items() for each in channels
    )
    return header.encode() + payload


def starting_at(seconds: str) -> bytes:
    """The annotation channel of a data record."""
    return f"+{seconds}\x14\x14\0".encode().ljust(32, b"\0")


def flac(samples: int) -> bytes:
    """The begin of a FLAC file that claims so many samples."""
    return (
        b"fLaC\x80\0\0\x22"
        + bytes(10)
        + (250 << 44 | 15 << 36 | samples).to_bytes(8, "big")
        + bytes(16)
    )


def far_away() -> bytes:
    """Return a WFDB annotation file with its second beat at sample 2 * 2,147,483,647."""
    skip = struct.pack("<HHH", 59 << 10, 0x7FFF, 0xFFFF)
    return struct.pack("<H", 1 << 10 | 50) + skip + skip + struct.pack("<HH", 1 << 10 | 50, 0)


EDF = {
    "rate-of-terahertz": edf(duration="1e-10"),
    "rate-of-picohertz": edf(duration="1e12"),
    "scale-beyond-float": edf(pmin="-1e300", pmax="1e300"),
    "scale-below-float": edf(pmin="-1e-300", pmax="1e-300"),
    "limits-next-to-each-other": edf(
        dim="nV", pmin="99999998", pmax="99999999", dmin="0", dmax="8388607"
    ),
    "digital-range-of-300-digits": edf(dmax="1e300"),
    "samples-of-a-trillion": edf(samples="99999999"),
    "data-records-of-a-billion": edf(records="99999999"),
    "gap-of-a-month-at-kilohertz": edf(
        (SIGNAL[:40] + starting_at("0")) + (SIGNAL[:40] + starting_at(f"{MONTH}")),
        stamped=True,
        samples="20",
        duration="0.0002",
    ),
    "time-stamp-of-25-digits": edf(
        (SIGNAL[:100] + starting_at("0")) + (SIGNAL[:100] + starting_at("9" * 25)), stamped=True
    ),
}
WFDB = {
    "rate-of-terahertz": "1 1e12 100\nsignal.dat 16 200/mV",
    "rate-beyond-float": "1 1e400 100\nsignal.dat 16 200/mV",
    "length-of-a-trillion": "1 250 1000000000000\nsignal.dat 16 200/mV",
    "length-of-a-trillion-compressed": "1 250 1000000000000\ncompressed.dat 516 200/mV",
    "length-that-compressed-samples-claim": "1 250 60000000000\ncompressed.dat 516 200/mV",
    "compressed-samples-that-are-none": "1 250 100\nsignal.dat 516 200/mV",
    "skew-of-a-billion": "1 250 100\nsignal.dat 16:999999999 200/mV",
    "baseline-of-30-digits": f"1 250 100\nsignal.dat 16 200({'9' * 30})/mV",
    "gain-beyond-float": "1 250 100\nsignal.dat 16 1e-300/mV",
    "more-lines-than-signals": "1 250 100\nsignal.dat 16 200/mV\nsignal.dat 16 200/mV",
    "signal-file-of-300-letters": f"1 250 100\n{'a' * 300} 16 200/mV",
    "rate-of-3000-digits": f"1 {'9' * 3000} 100\nsignal.dat 16 200/mV",
    "annotation-beyond-32-bits": "1 250 100\nsignal.dat 16 200/mV",
}
SEGMENTS = {
    "segment-of-a-trillion": "1 250 1000000000100\nsegment 100\n~ 1000000000000",
    "gap-of-a-month": f"1 1000 {1000 * MONTH + 100}\nsegment 100\n~ {1000 * MONTH}",
}
CSV = {
    "rate-of-two-points": f"# fs_hz: 128.8.0\ntime_s,II (mV)\n{ROWS}",
    "rate-beyond-float": f"# fs_hz: 1e300\ntime_s,II (mV)\n{ROWS}",
    "rate-of-100-megahertz": f"# fs_hz: 99999999\ntime_s,II (mV)\n{ROWS}",
    "value-beyond-float": f"# fs_hz: 250\ntime_s,II (mV)\n{ROWS}0.160,1e300\n",
    "value-of-a-star": f"# fs_hz: 250\ntime_s,II (mV)\n{ROWS}0.160,1e25\n",
    "gap-of-a-month": f"# fs_hz: 1000\nsample,II (mV)\n0,0.1\n1,0.2\n{1000 * MONTH},0.3\n",
    "column-name-of-blanks": f"# fs_hz: 250\ntime_s,II{' ' * 5000}-,\n{ROWS}".replace(
        "\n0", ",\n0"
    ),
    "label-of-30-digits": f"# fs_hz: 250\ntime_s,II (mV)\n{ROWS}",
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    files = {f"{name}.edf": content for name, content in EDF.items()}
    files |= {f"{name}.hea": f"{name} {text}\n".encode() for name, text in WFDB.items()}
    files |= {f"{name}.hea": f"{name}/2 {text}\n".encode() for name, text in SEGMENTS.items()}
    files |= {f"{name}.csv": text.encode() for name, text in CSV.items()}
    files |= {
        "signal.dat": SIGNAL,
        "compressed.dat": flac((1 << 36) - 1),
        "segment.hea": b"segment 1 250 100\nsignal.dat 16 200/mV\n",
        "annotation-beyond-32-bits.atr": far_away(),
        "label-of-30-digits.labels.csv": b"sample,symbol\n1,N\n" + b"9" * 30 + b",V\n",
    }
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
