"""Measure the cost of clients without a key ("strangers") for a coordinator and its sites.

python tests/attacks/strangers.py [--rounds 100] [--idle 2000] [--slow 1000] [--floods 120]

It runs a real `ecgfl coordinator serve` and three sites, over TLS on this machine. The sites answer
immediately with invented figures, so that a round consists of calls to the coordinator only. There
are two runs, one of them under attack: strangers keep connections open without sending anything
(half of them before TLS), send headers byte by byte, endless headers, and bodies of 1 MiB with
invented signatures, and open each connection again when it is dropped. Attackers, sites and
coordinator share the processors of this machine.

It prints, as Markdown, a row for each run: seconds for all rounds, the coordinator's resident
memory in MiB before the sites connect and at most, the number of connections that strangers opened;
and the ratios of the two runs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import light_sites
from many_sites import Watched

from ecgfl_cli.federation.coordinator.runs.run_record import RunReport, load_report
from ecgfl_cli.models.federation_file import load_federation

ATTACKERS = Path(__file__).resolve().parent / "attackers.py"
MIB = 2**20
SITES = ("alice", "bob", "carol")
HEAD_START_SECONDS = 5.0
"""Time for which strangers connect before the sites start."""


@dataclass(frozen=True)
class Strangers:
    """Number of connections of each kind at a time: idle, with slow headers, with bodies."""

    idle: int = 0
    slow: int = 0
    floods: int = 0


@dataclass(frozen=True)
class Served:
    """The result of a run.

    Attributes
    ----------
    before, peak
        Resident memory of the coordinator in bytes, before the sites connect and at most.
    opened
        Number of connections that strangers opened, by kind.
    """

    report: RunReport
    before: int
    peak: int
    opened: dict[str, int]
    problems: list[str]

    @property
    def seconds(self) -> float:
        """Duration of all rounds."""
        return sum(result.seconds or 0.0 for result in self.report.rounds)


def serve(folder: Path, rounds: int, strangers: Strangers) -> Served:
    """Serve one run to three sites, under attack by strangers."""
    homes = light_sites.homes_for(folder, SITES)
    coordinator = light_sites.coordinator_for(folder, homes)
    watched = Watched(
        coordinator, "--rounds", str(rounds), "--min-sites", "3", "--phase-timeout", "10m"
    )
    port = watched.port()
    before = watched.resident()
    counts = [strangers.idle, strangers.slow, strangers.floods]
    command = [sys.executable, str(ATTACKERS), port, *map(str, counts)]
    attackers = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(HEAD_START_SECONDS)
        server, federation = f"localhost:{port}", load_federation(coordinator.federation)
        with light_sites.light_sites([*homes.values()], server, federation) as ended:
            pass
        code = watched.process.wait()
    finally:
        opened, _ = attackers.communicate()
    if code:
        raise SystemExit(f"the coordinator ended with {code}: {watched.lines}")
    report = load_report(next(coordinator.reports.glob("*.json")))
    problems = [site.problem for site in ended if site.problem]
    problems += [
        f"round {result.round}: {result.dropped}"
        for result in report.rounds
        if set(result.sites) != set(SITES)
    ]
    return Served(report, before, watched.peak, json.loads(opened), problems)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--slow", type=int, default=1000)
    parser.add_argument("--floods", type=int, default=120)
    options = parser.parse_args()
    print(
        "| | rounds | seconds | MiB before | MiB at most | connections of strangers |\n|"
        + "---|" * 6
    )
    runs = []
    for name, strangers in (
        ("without attack", Strangers()),
        ("under attack", Strangers(options.idle, options.slow, options.floods)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            served = serve(Path(folder), options.rounds, strangers)
        if served.problems:
            raise SystemExit(f"{name}: {served.problems}")
        opened = ", ".join(f"{number} {kind}" for kind, number in served.opened.items()) or "-"
        figures = (
            f"{served.seconds:.1f} | {served.before / MIB:.0f} | {served.peak / MIB:.0f} | {opened}"
        )
        print(f"| {name} | {options.rounds} | {figures} |", flush=True)
        runs.append(served)
    usual, attacked = runs
    print(
        f"\ntime: {attacked.seconds / usual.seconds:.2f} times;"
        f" memory: {(attacked.peak - usual.peak) / MIB:+.0f} MiB"
    )


if __name__ == "__main__":
    main()
