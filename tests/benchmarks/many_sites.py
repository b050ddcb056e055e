"""Measure the time and memory of a coordinator with many sites.

python tests/benchmarks/many_sites.py [--sites 5 10 20 50] [--rounds 3] [--arch beatnet]

A real `ecgfl coordinator serve` runs in a separate process, over TLS with node keys. The light
sites connect, poll, fetch and send with the program's own code, and answer immediately with
invented figures (tests/federation/light_sites.py). They run as threads of --processes processes.
All share the processors of this machine; the processor time and memory of the coordinator are
measured separately, also while the sites are connected before the run begins.

It prints, as Markdown, a row for each number of sites: median seconds per round, of which training
and evaluation (from the first request that arrives to the last answer that is made) and the rest
(receiving the replies, making and signing the model); processor seconds of the coordinator per
round, and its share of one processor while it idles; its resident memory in MiB at the start and at
most; calls and KiB per round and site (HTTP headers and bodies); and the coordinator's processor
time to accept a site's connections, in milliseconds.
"""

import argparse
import contextlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

import light_sites
from light_sites import Ended, Traffic

from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.runs.run_record import RunReport, load_report
from ecgfl_cli.logs import Event
from ecgfl_cli.models.architecture import DEFAULT
from ecgfl_cli.models.federation_file import load_federation

MIB, KIB = 2**20, 2**10
INTERVAL_SECONDS, IDLE_SECONDS = 0.05, 20.0


class Watched:
    """A `coordinator serve` whose lines, processor time and memory are recorded."""

    def __init__(self, coordinator: CoordinatorHome, *options: str) -> None:
        serve = ["coordinator", "serve", "--host", "127.0.0.1", "--port", "0", *options]
        command = [
            sys.executable,
            "-m",
            "ecgfl_cli",
            "--home",
            str(coordinator.root.parent),
            "--log-format",
            "json",
            *serve,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._watched = psutil.Process(self.process.pid)
        self.lines: list[tuple[dict[str, Any], float]] = []
        self.peak = self.sockets = 0
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._sample, daemon=True).start()

    def processor(self) -> float:
        """Return its processor seconds so far."""
        times = self._watched.cpu_times()
        return times.user + times.system

    def resident(self) -> int:
        return int(self._watched.memory_info().rss)

    def wait_for(
        self, event: Event, times: int = 1, **fields: object
    ) -> tuple[dict[str, Any], float]:
        """Wait until an event with these fields was logged `times` times.

        Returns its entry, and the processor seconds used before.
        """
        while True:
            ended = self.process.poll()
            found = [
                (entry, spent)
                for entry, spent in list(self.lines)
                if all(entry[name] == value for name, value in {"event": event, **fields}.items())
            ]
            if len(found) >= times:
                return found[times - 1]
            if ended is not None:
                raise SystemExit(f"the coordinator ended with {ended}: {self.lines}")
            time.sleep(INTERVAL_SECONDS)

    def port(self) -> str:
        return str(self.wait_for(Event.READY)[0]["port"])

    def idle(self, seconds: float) -> float:
        """Return the share of one processor that it uses in this time."""
        before, started = self.processor(), time.monotonic()
        time.sleep(seconds)
        return (self.processor() - before) / (time.monotonic() - started)

    def _read(self) -> None:
        assert self.process.stderr is not None
        spent = 0.0
        with self.process.stderr as lines:
            for line in lines:
                with contextlib.suppress(psutil.NoSuchProcess):  # it has ended after this line
                    spent = self.processor()
                self.lines.append((json.loads(line), spent))

    def _sample(self) -> None:
        while self.process.poll() is None:
            try:
                self.peak = max(self.peak, self.resident())
                self.sockets = max(self.sockets, len(self._watched.net_connections(kind="tcp")))
            except psutil.NoSuchProcess:
                return
            time.sleep(INTERVAL_SECONDS)


@dataclass(frozen=True)
class Row:
    """The figures for one number of sites.

    Shares are of one processor, times in seconds, memory and traffic in bytes.
    """

    sites: int
    seconds: float
    training: float
    measuring: float
    processor: float
    idle: float
    at_start: int
    peak: int
    sockets: int
    connecting: float
    calls: float
    bytes: float

    HEAD = (
        "| sites | s a round | training | evaluation | rest | processor s a round | idle %"
        " | MiB at start | MiB at most | sockets | calls | KiB | ms to connect |\n|" + "---|" * 13
    )

    def __str__(self) -> str:
        rest = self.seconds - self.training - self.measuring
        figures = (
            f"{self.seconds:.2f} | {self.training:.2f} | {self.measuring:.2f} | {rest:.2f}"
            f" | {self.processor:.2f} | {100 * self.idle:.1f}"
            f" | {self.at_start / MIB:.0f} | {self.peak / MIB:.0f} | {self.sockets}"
            f" | {self.calls:.0f} | {self.bytes / KIB:.0f} | {1000 * self.connecting:.0f}"
        )
        return f"| {self.sites} | {figures} |"


def measure(sites: int, rounds: int, arch: str, processes: int, folder: Path) -> Row:
    """Serve one run to `sites` sites."""
    names = [f"site-{number:04}" for number in range(sites)]
    homes = light_sites.homes_for(folder, names)
    coordinator = light_sites.coordinator_for(folder, homes)
    plan = (
        "--rounds",
        str(rounds),
        "--min-sites",
        str(sites),
        "--arch",
        arch,
        "--phase-timeout",
        "10m",
    )
    watched = Watched(coordinator, *plan)
    port = watched.port()
    server, federation = f"localhost:{port}", coordinator.federation
    at_start, spent = watched.resident(), watched.processor()
    # All but one connect early. The run begins when the last one connects.
    early, last = [home.root for home in homes.values()][:-1], list(homes.values())[-1]
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.queues.Queue[list[Ended]] = context.Queue()
    groups = [group for place in range(processes) if (group := early[place::processes])]
    workers = [
        context.Process(
            target=light_sites.in_a_process,
            args=(group, server, federation, 1000 * place, results),
            daemon=True,
        )
        for place, group in enumerate(groups)
    ]
    for worker in workers:
        worker.start()
    _, connected = watched.wait_for(Event.SITE_CONNECTED, times=sites - 1)
    time.sleep(1)
    idle = watched.idle(IDLE_SECONDS)
    with light_sites.light_sites([last], server, load_federation(federation), 10**6) as ended:
        pass
    for _ in workers:
        ended.extend(results.get())
    for worker in workers:
        worker.join()
    first, after = (
        watched.wait_for(Event.ROUND_STARTED, round=1)[1],
        watched.wait_for(Event.ROUND_FINISHED, round=rounds)[1],
    )
    if code := watched.process.wait():
        raise SystemExit(f"the coordinator ended with {code}: {watched.lines}")
    report = load_report(next(coordinator.reports.glob("*.json")))
    check(report, ended, sites, rounds)
    traffic = Traffic()
    for site in ended:
        traffic.add(site.traffic)
    # The calls that open, keep and close a session do not belong to a round.
    named = [
        call
        for call in traffic.calls
        if call not in ("activate-node", "deactivate-node", "send-node-heartbeat")
    ]
    last_site = next(site for site in ended if site.site == last.root.name).traffic
    return Row(
        sites,
        median(result.seconds for result in report.rounds),
        median(span(ended, "train", result.round) for result in report.rounds),
        median(span(ended, "evaluate", result.round) for result in report.rounds),
        (after - first) / rounds,
        idle,
        at_start,
        watched.peak,
        watched.sockets,
        (connected - spent) / (sites - 1),
        sum(last_site.calls[call] for call in named) / rounds,
        sum(last_site.bytes[call] for call in named) / rounds,
    )


def check(report: RunReport, ended: list[Ended], sites: int, rounds: int) -> None:
    """Check that all sites took part in all rounds."""
    problems = [f"{site.site}: {site.problem}" for site in ended if site.problem]
    problems += [str(reply) for result in report.rounds for reply in result.dropped]
    if problems or [len(result.sites) for result in report.rounds] != [sites] * rounds:
        raise SystemExit(f"not all sites took part in all rounds: {problems[:5]}, {report.problem}")


def span(ended: list[Ended], kind: str, this_round: int) -> float:
    """Return the seconds from a phase's first request that arrives to its last answer."""
    answers = [
        answer
        for site in ended
        for answer in site.answers
        if (answer.kind, answer.round) == (kind, this_round)
    ]
    return max(answer.ended for answer in answers) - min(answer.began for answer in answers)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arch", default=DEFAULT)
    parser.add_argument("--processes", type=int, default=2, help="for the light sites")
    given = parser.parse_args()
    print(Row.HEAD, flush=True)
    for sites in given.sites:
        with tempfile.TemporaryDirectory() as folder:
            print(
                measure(sites, given.rounds, given.arch, given.processes, Path(folder)), flush=True
            )


if __name__ == "__main__":
    main()
