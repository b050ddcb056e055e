"""Good recordings, and the faults of broken disks, cut connections and careless exports."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import wfdb
from ecgfl_adapters.discovery import read
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.registry import adapters

from ecgfl_cli.demo.synthesiser import synthesise

SECONDS = 12
STEM = "x"
"""Name of every recording: a WFDB header names its signal file."""

Files = dict[str, bytes]
"""The content of the files of one recording by suffix."""

OPTIONS = {"csv": ReadOptions(units="mV")}
"""Options by format; without them, half of the tables are refused at once."""

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (
    *(
        b"0",
        b"-0",
        b"-1",
        b"1",
        b"2",
        b"3",
        b"32767",
        b"-32768",
        b"99999999",
        b"-9999999",
        b"1000000000000",
        b"9" * 30,
    ),
    *(
        b"1e12",
        b"1e300",
        b"-1e300",
        b"1e-300",
        b"1e400",
        b"1e-9",
        b"0.001",
        b"nan",
        b"inf",
        b"-inf",
        b"0x10",
        b"1_000",
        b"1,5",
    ),
    *(
        b"",
        b" ",
        "٣".encode(),
        "²".encode(),
        "µV".encode(),
        b"\xb5V",
        b"\xff\xfe",
        b"\0\0\0\0",
        b"~",
        b"../../x",
        b"a" * 300,
    ),
)
"""Replacements for a number, a name or a unit."""

SUFFIXES = (
    ".hea",
    ".dat",
    ".atr",
    ".edf",
    ".bdf",
    ".csv",
    ".txt",
    ".tsv",
    ".labels.csv",
    "",
    ".xml",
)


def seeds(data: Path | None) -> dict[str, list[Files]]:
    """Return good recordings by format: synthetic ones, and excerpts of those in `data`."""
    made = [synthesise(1, SECONDS, 250, pvc_share=0.2), synthesise(2, SECONDS, 128)]
    if data is not None:
        made += [cut_out(read(data / "mitdb" / f"{record}.hea")) for record in (100, 208)]
    made = [replace(recording, name=STEM) for recording in made]
    found = {
        name: [_written(recording, name) for recording in made] for name in ("wfdb", "edf", "csv")
    }
    found["wfdb"] += [
        _reformatted(found["wfdb"][0], fmt) for fmt in ("80", "24", "32", "508", "516")
    ]
    if data is not None:
        found["wfdb"].append(_head_of_212(data / "mitdb" / "119.hea"))
        for file in sorted((data / "edf").glob("*.edf")):
            found["edf"].append({".edf": _head_of_edf(file.read_bytes())})
        for file in sorted((data / "csv").glob("*ecg*")):
            found["csv"].append(
                {file.suffix: b"".join(file.read_bytes().splitlines(keepends=True)[:1500])}
            )
        rows = (f"{number},{1000 + number % 50},{990 + number % 40}" for number in range(3000))
        table = "\n".join(["# fs_hz: 360", "'sample #','MLII','V5'", *rows])
        labels = b"".join(
            (data / "csv" / "100annotations.txt").read_bytes().splitlines(keepends=True)[:12]
        )
        found["csv"].append({".csv": table.encode(), "annotations.txt": labels})
    return found


def cut_out(recording: Recording) -> Recording:
    """Return the first seconds of a recording, with their labels."""
    length = round(SECONDS * recording.fs)
    leads = tuple(replace(lead, samples=lead.samples[:length].copy()) for lead in recording.leads)
    return replace(
        recording,
        leads=leads,
        labels=tuple(label for label in recording.labels or () if label.sample < length),
    )


def mutated(files: Files, random: Random) -> Files:
    """Return the files with one to three faults."""
    files = dict(files)
    if ".hea" in files and random.random() < 0.6:  # else a checksum ends most reading early
        files[".hea"] = re.sub(rb"(?m)^(x\.dat \S+ \S+).*?( \S+)?$", rb"\1", files[".hea"])
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if random.random() < 0.03:
            files = _renamed(files, random)
            continue
        suffix = random.choice(sorted(files))
        files[suffix] = random.choice(_mutations_for(suffix))(files[suffix], random)
    return files


def write(files: Files, folder: Path) -> Path:
    """Write the files to a folder; return the one by which the recording is read."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, content in files.items():
        (folder / f"{STEM}{suffix}").write_bytes(content)
    first = min(
        files, key=lambda suffix: (suffix not in {".hea", ".edf", ".bdf"}, len(suffix) > 4, suffix)
    )
    return folder / f"{STEM}{first}"


def _mutations_for(suffix: str) -> tuple[Mutation, ...]:
    anything = (bits_flipped, cut_off, doubled, taken_out, zeroed)
    if suffix in {".edf", ".bdf"}:
        return (*anything, *(edf_field,) * 7, edf_timestamp)
    if suffix in {".hea", ".csv", ".txt", ".tsv", ".labels.csv", "annotations.txt"}:
        return (*anything, *(word_replaced,) * 6, lines_swapped)
    return (*anything, words_of_an_annotation)


def bits_flipped(raw: bytes, random: Random) -> bytes:
    """Flip up to 30 bits, half of the time near the start, where the header is."""
    changed = bytearray(raw)
    reach = min(len(raw), random.choice((64, 1024, len(raw))))
    for _ in range(random.randint(1, 30) if reach else 0):
        changed[random.randrange(reach)] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut_off(raw: bytes, random: Random) -> bytes:
    return raw[: random.randint(0, len(raw))]


def doubled(raw: bytes, random: Random) -> bytes:
    start, stop = _stretch(raw, random)
    return raw[:stop] + raw[start:stop] * random.choice((1, 1, 2, 30)) + raw[stop:]


def taken_out(raw: bytes, random: Random) -> bytes:
    start, stop = _stretch(raw, random)
    return raw[:start] + raw[stop:]


def zeroed(raw: bytes, random: Random) -> bytes:
    """Overwrite a stretch, as in a sector that was never written."""
    start, stop = _stretch(raw, random)
    return raw[:start] + random.choice((b"\0", b"\xff", b" ")) * (stop - start) + raw[stop:]


def edf_field(raw: bytes, random: Random) -> bytes:
    """Replace a field of the header of the file or of a channel."""
    widths = [8, 80, 80, 8, 8, 8, 44, 8, 8, 4]
    digits = raw[252:256].strip()
    channels = int(digits) if digits.isdigit() and int(digits) < 100 else 1
    widths += [width for width in (16, 80, 8, 8, 8, 8, 8, 80, 8, 32) for _ in range(channels)]
    place = random.choice([number for number in range(len(widths)) if widths[number] <= 16])
    start, width = sum(widths[:place]), widths[place]
    return raw[:start] + random.choice(NUMBERS)[:width].ljust(width) + raw[start + width :]


def edf_timestamp(raw: bytes, random: Random) -> bytes:
    """Replace the time at which a data record starts."""
    marks = [place for place in range(len(raw) - 3) if raw[place : place + 3] == b"\x14\x14\0"]
    if not marks:
        return raw
    stop = random.choice(marks)
    start = raw.rfind(b"+", max(0, stop - 12), stop)
    stamp = random.choice(
        (b"+9999999999", b"-1", b"+0", b"+1e9", b"", b"+2678399", b"+" + b"9" * 25)
    )
    return (
        raw[:start] + stamp.ljust(stop - start, b"\0")[: stop - start] + raw[stop:]
        if start >= 0
        else raw
    )


def word_replaced(raw: bytes, random: Random) -> bytes:
    """Replace a number, a name or a unit in a text, mostly in its first lines."""
    lines = raw.split(b"\n")
    reach = min(len(lines), random.choice((1, 3, 5, len(lines))))
    line = random.randrange(reach)
    for separator in (b",", b";", b" ", b"/", b"("):
        if separator in lines[line] and random.random() < 0.7:
            cells = lines[line].split(separator)
            cells[random.randrange(len(cells))] = random.choice(NUMBERS)
            lines[line] = separator.join(cells)
            return b"\n".join(lines)
    lines[line] = random.choice(NUMBERS)
    return b"\n".join(lines)


def lines_swapped(raw: bytes, random: Random) -> bytes:
    lines = raw.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(min(len(lines), 5))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def words_of_an_annotation(raw: bytes, random: Random) -> bytes:
    """Replace 16-bit words of an annotation file.

    They are codes, and marks that change how the next word is read.
    """
    changed = bytearray(raw)
    for _ in range(random.randint(1, 4) if len(raw) > 2 else 0):
        place = random.randrange(len(raw) // 2) * 2
        code = random.choice((0, 22, 59, 60, 61, 62, 63, random.randrange(64)))
        word = code << 10 | random.choice((0, 1, 4, 255, 1023, random.randrange(1024)))
        changed[place : place + 2] = word.to_bytes(2, "little")
    return bytes(changed)


def _renamed(files: Files, random: Random) -> Files:
    """Give one of the files the suffix of another."""
    old = random.choice(sorted(files))
    return {suffix: content for suffix, content in files.items() if suffix != old} | {
        random.choice(SUFFIXES): files[old]
    }


def _stretch(raw: bytes, random: Random) -> tuple[int, int]:
    start = random.randint(0, min(len(raw), random.choice((300, 2000, len(raw)))))
    return start, min(len(raw), start + random.choice((1, 2, 8, 256, 512, 4096)))


def _written(recording: Recording, name: str) -> Files:
    with TemporaryDirectory() as folder:
        written = adapters()[name].write(recording, Path(folder))
        return {path.name.removeprefix(STEM): path.read_bytes() for path in written}


def _reformatted(files: Files, fmt: str) -> Files:
    """Return the record in another sample format of WFDB."""
    with TemporaryDirectory() as folder:
        path = write(files, Path(folder))
        record = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
        narrow = {"80": 100, "508": 100}.get(fmt)
        signal = record.d_signal if narrow is None else record.d_signal % narrow
        wfdb.wrsamp(
            STEM,
            record.fs,
            record.units,
            record.sig_name,
            d_signal=signal,
            fmt=[fmt] * record.n_sig,
            adc_gain=record.adc_gain,
            baseline=record.baseline,
            write_dir=folder,
        )
        written = {suffix: path.with_suffix(suffix) for suffix in (".hea", ".dat", ".atr")}
        return {suffix: file.read_bytes() for suffix, file in written.items() if file.is_file()}


def _head_of_212(path: Path) -> Files:
    """Return the first seconds of a mitdb record in format 212, without checksums."""
    length = SECONDS * 360
    text = (
        f"{STEM} 2 360 {length}\n{STEM}.dat 212 200(1024)/mV\n{STEM}.dat 212 200(1024)/mV\n# 51 F\n"
    )
    return {".hea": text.encode(), ".dat": path.with_suffix(".dat").read_bytes()[: 3 * length]}


def _head_of_edf(raw: bytes) -> bytes:
    """Return the header and the data records of the first seconds."""
    size, channels, seconds = int(raw[184:192]), int(raw[252:256]), float(raw[244:252])
    counts = raw[256 + 216 * channels : 256 + 224 * channels]
    record = 2 * sum(int(counts[8 * channel : 8 * channel + 8]) for channel in range(channels))
    kept = max(1, round(SECONDS / seconds))
    return raw[:236] + str(kept).encode().ljust(8) + raw[244 : size + kept * record]
