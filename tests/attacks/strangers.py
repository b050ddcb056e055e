"""What strangers cost a coordinator and its sites.

python tests/attacks/strangers.py [--rounds 100] [--idle 2000] [--slow 1000] [--floods 120]

A real `ecgfl coordinator serve` and three sites, over TLS on this machine; the sites answer at once with made-up figures, so
that a round is nothing but calls to the coordinator. Two runs: one in peace, one while strangers hold connections without a word
(half of them before TLS), send heads byte by byte, heads without end, and bodies of one MiB under invented signatures, each again
as soon as it is dropped. Attackers, sites and coordinator share this machine's processors.

It prints, as Markdown, a row for each run: seconds for all rounds, the coordinator's resident MiB before the sites came and at
most, the connections that strangers opened, and the ratios.
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
GATHERING_SECONDS = 5.0
"""For which strangers come before the sites do."""


@dataclass(frozen=True)
class Strangers:
    """How many connections of each kind are held at a time: without a word, with a slow head, with bodies."""

    idle: int = 0
    slow: int = 0
    floods: int = 0


@dataclass(frozen=True)
class Served:
    """A run, ended. before, peak : resident bytes of the coordinator. opened : connections of strangers, by kind."""

    report: RunReport
    before: int
    peak: int
    opened: dict[str, int]
    problems: list[str]

    @property
    def seconds(self) -> float:
        """Of all rounds."""
        return sum(each.seconds or 0.0 for each in self.report.rounds)


def serve(folder: Path, rounds: int, strangers: Strangers) -> Served:
    """Serve one run to three sites, and to strangers."""
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
        time.sleep(GATHERING_SECONDS)
        server, federation = f"localhost:{port}", load_federation(coordinator.federation)
        with light_sites.light_sites([*homes.values()], server, federation) as ended:
            pass
        code = watched.process.wait()
    finally:
        opened, _ = attackers.communicate()
    if code:
        raise SystemExit(f"the coordinator ended with {code}: {watched.lines}")
    report = load_report(next(coordinator.reports.glob("*.json")))
    problems = [each.problem for each in ended if each.problem]
    problems += [
        f"round {each.round}: {each.dropped}"
        for each in report.rounds
        if set(each.sites) != set(SITES)
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
    asked = parser.parse_args()
    print(
        "| | rounds | seconds | MiB before | MiB at most | connections of strangers |\n|"
        + "---|" * 6
    )
    runs = []
    for name, strangers in (
        ("in peace", Strangers()),
        ("attacked", Strangers(asked.idle, asked.slow, asked.floods)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            served = serve(Path(folder), asked.rounds, strangers)
        if served.problems:
            raise SystemExit(f"{name}: {served.problems}")
        opened = ", ".join(f"{number} {kind}" for kind, number in served.opened.items()) or "-"
        figures = (
            f"{served.seconds:.1f} | {served.before / MIB:.0f} | {served.peak / MIB:.0f} | {opened}"
        )
        print(f"| {name} | {asked.rounds} | {figures} |", flush=True)
        runs.append(served)
    peace, attacked = runs
    print(
        f"\ntime: {attacked.seconds / peace.seconds:.2f} times; memory: {(attacked.peak - peace.peak) / MIB:+.0f} MiB"
    )


if __name__ == "__main__":
    main()
