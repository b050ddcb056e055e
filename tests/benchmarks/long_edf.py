"""Measure the ingest of a day and of a week of a three-lead Holter as EDF.

python tests/benchmarks/long_edf.py [--hours 24 168]

Each hour of the file comes from another synthetic patient, so that its values vary. Time and memory
are those of `ecgfl ingest` with all its processes.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from ecgfl_adapters.edf.writer import write_edf
from watched import ecgfl

from ecgfl_cli.demo.synthesiser import synthesise

FS, LEADS = 256.0, ("I", "II", "V5")
RECORDS_AT, HEADER_AT = slice(236, 244), slice(184, 192)
"""Fields of EDF's header: number of data records, bytes of the header."""


def long_edf(path: Path, hours: int) -> None:
    """Write hours of ECG as plain EDF.

    The file has the header of the first hour, without its time stamps, and the data records of all
    hours.
    """
    with path.open("wb") as file, tempfile.TemporaryDirectory() as folder:
        for hour in range(hours):
            recording = replace(synthesise(hour, 3600, FS, leads=LEADS, name="hour"), labels=None)
            (part,) = write_edf(recording, Path(folder))
            raw = bytearray(part.read_bytes())
            if hour == 0:
                header = raw[: int(raw[HEADER_AT])]
                header[RECORDS_AT] = f"{int(raw[RECORDS_AT]) * hours:<8}".encode()
                file.write(
                    header.replace(b"EDF+C", b"     ").replace(
                        b"EDF Annotations", b"spare          "
                    )
                )
            file.write(raw[int(raw[HEADER_AT]) :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, nargs="+", default=[24, 168])
    for hours in parser.parse_args().hours:
        with tempfile.TemporaryDirectory() as folder:
            path, home = Path(folder) / "holter.edf", Path(folder) / "home"
            long_edf(path, hours)
            size = path.stat().st_size / 2**20
            ecgfl("--home", str(home), "init", "--site", "benchmark")
            run = ecgfl("--home", str(home), "ingest", str(path))
            print(
                f"{hours} h, {len(LEADS)} leads, {FS:g} Hz, {size:.0f} MiB of EDF:"
                f" {run.seconds:.1f} s, all processes together {run.mib:.0f} MiB at most, the"
                f" largest {run.largest_mib:.0f} MiB",
                flush=True,
            )
            print(run.out)


if __name__ == "__main__":
    main()
