"""What a killed ingest leaves behind: `python tests/benchmarks/kills.py [--kills 200] [--segment-kills 20] [--seconds 300]`.

An ingest of 20 real records by two processes is killed at moments spread over its whole duration, half of the times with all its
processes, half of the times only the one that was started; some runs of segment, too. After each kill the store is validated;
then the command runs again, and the store must be byte for byte that of an undisturbed run. Exit code 1 when any of that fails.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

import kills

from ecgfl_cli.app import run

DATA = Path(
    os.environ.get("ECGFL_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def ecgfl(*arguments: object) -> tuple[int, Any]:
    """Run one command line in this process: its exit code and what it says as JSON."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        code = run([*map(str, arguments), "--json"])
    return code, loads(out.getvalue())


EARLY = "it had ended before the kill"
"""No fault: runs differ in length."""


class Left(NamedTuple):
    """The store after a kill and another run, and what was wrong."""

    content: kills.Content
    wrong: list[str]


def one_kill(
    site: Path, folder: Path, home: Path, verb: str, moment: float, whole_group: bool
) -> Left:
    kills.twin_of(site, home)
    wrong = []
    if verb == "segment":
        ecgfl("ingest", folder, "--jobs", 2, "--home", home)
    process = kills.start(home, verb, *([folder] if verb == "ingest" else []), "--jobs", 2)
    still_ran = kills.strike(process, moment, signal.SIGKILL, whole_group)
    process.wait()
    if not still_ran:
        wrong.append(EARLY)
    code, said = ecgfl("validate", "--jobs", 2, "--home", home)
    if code == 6:
        wrong.append("lock left behind")
    if said.get("unreadable"):
        wrong.append("damaged record")
    for again in [("ingest", folder, "--jobs", 2)] + [("segment", "--jobs", 2)] * (
        verb == "segment"
    ):
        if ecgfl(*again, "--home", home)[0] != 0:
            wrong.append(f"{again[0]} failed after the kill")
    if ecgfl("audit", "verify", "--home", home)[0] != 0:
        wrong.append("audit log damaged")
    if kills.left_over(process.pid):
        wrong.append("process left over")
    return Left(kills.content_of(home), wrong)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--segment-kills", type=int, default=20)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    faults: Counter[str] = Counter()
    with TemporaryDirectory() as place:
        site, folder = (
            Path(place) / "site",
            kills.real_records(DATA, Path(place) / "recordings", given.seconds),
        )
        ecgfl("init", "--site", "st-mary", "--home", site)
        for verb, arguments, number in (
            ("ingest", [folder], given.kills),
            ("segment", [], given.segment_kills),
        ):
            started = time.monotonic()
            command = [
                sys.executable,
                "-m",
                "ecgfl_cli",
                verb,
                *map(str, arguments),
                "--jobs",
                "2",
                "--home",
                str(site),
            ]
            subprocess.run(command, check=True, capture_output=True)
            longest = time.monotonic() - started
            expected = kills.content_of(site)
            print(f"undisturbed {verb}: {longest:.1f} s, {len(expected.files)} files", flush=True)
            for done, moment in enumerate(kills.moments(number, longest, given.seed)):
                with TemporaryDirectory() as short:
                    found, wrong = one_kill(
                        site, folder, Path(short) / "twin", verb, moment, done % 2 == 0
                    )
                if found != expected:
                    wrong.append("another store than the undisturbed one")
                faults.update(wrong)
                print(
                    f"{verb} {done + 1}/{number} at {moment:.3f} s: {', '.join(wrong) or 'as undisturbed'}",
                    flush=True,
                )
        print(f"{given.kills} + {given.segment_kills} kills, faults: {dict(faults)}", flush=True)
    faults.pop(EARLY, None)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
