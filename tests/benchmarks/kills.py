"""What a killed ingest leaves behind: `python tests/benchmarks/kills.py [--kills 200] [--segment-kills 20] [--seconds 300]`.

An ingest of 20 real records by two processes is killed at moments spread over its whole duration, half of the times with all its
processes, half of the times only the one that was started. After each kill the store is validated; then ingest and segment run
again, and the store must be byte for byte that of a run which nothing disturbed. Exit code 1 when any of that fails.
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
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "store"))

import kills

from ecgfl_cli.app import run

DATA = Path(os.environ.get("ECGFL_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def ecgfl(*arguments: object) -> tuple[int, Any]:
    """Run one command line in this process: its exit code and what it says as JSON."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()):
        code = run([*map(str, arguments), "--json"])
    return code, loads(out.getvalue())


def one_kill(
    site: Path, folder: Path, home: Path, verb: str, moment: float, whole_group: bool
) -> tuple[kills.Content, list[str]]:
    """The store after one kill and another run, and what was wrong."""
    kills.twin_of(site, home)
    wrong = []
    if verb == "segment":
        ecgfl("ingest", folder, "--jobs", 2, "--home", home)
    process = kills.start(home, verb, *([folder] if verb == "ingest" else []), "--jobs", 2)
    still_ran = kills.strike(process, moment, signal.SIGKILL, whole_group)
    process.wait()
    if not still_ran:
        wrong.append("(ended before the kill)")
    code, said = ecgfl("validate", "--jobs", 2, "--home", home)
    if code == 6:
        wrong.append("lock left behind")
    if said.get("unreadable"):
        wrong.append("damaged record")
    for again in (("ingest", folder, "--jobs", 2), ("segment", "--jobs", 2)):
        if ecgfl(*again, "--home", home)[0] != 0:
            wrong.append(f"{again[0]} failed after the kill")
    if ecgfl("audit", "verify", "--home", home)[0] != 0:
        wrong.append("audit log damaged")
    if kills.left_over(process.pid):
        wrong.append("process left over")
    return kills.content_of(home), wrong


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--segment-kills", type=int, default=20)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    faults: Counter[str] = Counter()
    with TemporaryDirectory() as place:
        site, folder = Path(place) / "site", kills.real_records(DATA, Path(place) / "recordings", given.seconds)
        ecgfl("init", "--site", "st-mary", "--home", site)
        durations = {}
        for verb in (("ingest", folder), ("segment",)):
            started = time.monotonic()
            command = [sys.executable, "-m", "ecgfl_cli", *map(str, verb), "--jobs", "2", "--home", str(site)]
            subprocess.run(command, check=True, capture_output=True)
            durations[str(verb[0])] = time.monotonic() - started
        expected = kills.content_of(site)
        print(f"undisturbed: {durations}, {len(expected.rows['records'])} records, {len(expected.files)} files", flush=True)
        for verb, number in (("ingest", given.kills), ("segment", given.segment_kills)):
            stored: Counter[int] = Counter()
            for place_, moment in enumerate(kills.moments(number, durations[verb], given.seed)):
                with TemporaryDirectory() as short:
                    home = Path(short) / "twin"
                    found, wrong = one_kill(site, folder, home, verb, moment, place_ % 2 == 0)
                if found != expected:
                    wrong.append("another store than the undisturbed one")
                faults.update(wrong)
                stored[len(found.rows["records"])] += 1
                print(f"{verb} {place_ + 1}/{number} at {moment:.3f} s: {', '.join(wrong) or 'as undisturbed'}", flush=True)
            print(f"{verb}: {number} kills; faults so far {dict(faults)}; records after the next run {dict(stored)}", flush=True)
    faults.pop("(ended before the kill)", None)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
