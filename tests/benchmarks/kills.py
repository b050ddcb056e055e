"""Kill ingest and segment at many moments, and check the store after each kill.

python tests/benchmarks/kills.py [--kills 200] [--segment-kills 20] [--seconds 300]

An ingest of 20 real records by two processes is killed at moments spread over its whole duration;
every second time all its processes are killed, otherwise only the one that was started. Some runs
of segment are killed, too. After each kill the store is validated. Then the command runs again, and
the store must be byte-identical to that of an uninterrupted run. The exit code is 1 if any of this
fails.
"""

import argparse
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

import kills
from real_data import DATA

from ecgfl_cli.app import run


def ecgfl(*arguments: object) -> tuple[int, Any]:
    """Run a command in this process. Return its exit code and its JSON."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        code = run([*map(str, arguments), "--json"])
    return code, loads(out.getvalue())


EARLY = "it had ended before the kill"
"""This is not a fault, because runs differ in length."""


class Left(NamedTuple):
    """The store after a kill and another run, and the faults."""

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
    code, result = ecgfl("validate", "--jobs", 2, "--home", home)
    if code == 6:
        wrong.append("lock left behind")
    if result.get("unreadable"):
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
    with TemporaryDirectory() as temporary:
        site = Path(temporary) / "site"
        folder = kills.real_records(DATA, Path(temporary) / "recordings", given.seconds)
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
            print(f"uninterrupted {verb}: {longest:.1f} s, {len(expected.files)} files", flush=True)
            for done, moment in enumerate(kills.moments(number, longest, given.seed)):
                with TemporaryDirectory() as short:
                    content, wrong = one_kill(
                        site, folder, Path(short) / "twin", verb, moment, done % 2 == 0
                    )
                if content != expected:
                    wrong.append("the store differs from that of an uninterrupted run")
                faults.update(wrong)
                outcome = ", ".join(wrong) or "no fault"
                print(f"{verb} {done + 1}/{number} at {moment:.3f} s: {outcome}", flush=True)
        print(f"{given.kills} + {given.segment_kills} kills, faults: {dict(faults)}", flush=True)
    faults.pop(EARLY, None)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
