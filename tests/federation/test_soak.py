"""A federation whose processes are killed, stopped and disconnected at random loses no round.

Run by hand: `pytest tests/federation/test_soak.py -s --soak-minutes 60`, and perhaps
`--soak-seed 1` and `--soak-figures soak.json`.

One coordinator serves run after run. Alice joins with --once, as from cron; Bob and Carol stay.
Each has its own line.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from faulty_line import FaultyLine, faulty_line
from federation_homes import SITES, Homes, change_policy
from kept_running import Kept
from node_processes import Command, Processes
from soak_checks import SoakChecks
from test_join_waits import free_port

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]

ROUNDS = 8
PLAN = (
    "--rounds",
    str(ROUNDS),
    "--min-sites",
    "2",
    "--arch",
    "ecgnet",
    "--local-epochs",
    "1",
    "--phase-timeout",
    "20s",
)
DONE, SERVER = 0, 4
FAULTS = {
    "coordinator killed": 5,
    "coordinator told to end": 1,
    "site killed": 5,
    "site told to end": 2,
    "line cut": 3,
    "line held": 2,
    "message broken off": 3,
    "site stopped": 2,
    "coordinator stopped": 1,
}
"""Each with its weight."""

PAUSE_SECONDS = (3.0, 20.0)
"""Between two faults."""

FAULT_SECONDS = (1.0, 70.0)
"""How long a line stays cut or held, and a process stopped. A session ends after a minute."""

LAST_RUNS_SECONDS = 600.0
LEFT_OVER_A_HOME = 5


class Soak:
    """A federation that is kept running, and what is done to it."""

    def __init__(
        self, homes: Homes, processes: Processes, lines: dict[str, FaultyLine], port: int, seed: int
    ) -> None:
        self.checks = SoakChecks(homes, ROUNDS)
        self.faults: Counter[str] = Counter()
        self.results: list[dict[str, object]] = []
        self._homes, self._processes, self._lines, self._random = (
            homes,
            processes,
            lines,
            random.Random(seed),
        )
        self._healed_at: dict[str, float] = {}
        self._port = port
        self.coordinator = Kept(
            "coordinator", self._serve, frozenset({DONE, SERVER}), self.checks.coordinator
        )
        self.sites = [
            Kept(name, self._join(name), frozenset({DONE, SERVER}), self._looked_at(name))
            for name in SITES
        ]
        self.kept = [self.coordinator, *self.sites]

    def _serve(self) -> Command:
        address = ("--host", "127.0.0.1", "--port", str(self._port))
        return self._processes.start(
            self._homes.coordinator, "coordinator", "serve", *address, *PLAN
        )

    def _join(self, name: str) -> Callable[[], Command]:
        home, port = self._homes.site(name).root, self._lines[name].port
        if name == "alice":
            return lambda: self._processes.join(home, port, max_wait="45s")
        return lambda: self._processes.start(home, "join", "--server", f"localhost:{port}")

    def _looked_at(self, name: str) -> Callable[[], None]:
        return lambda: self.checks.site(name)

    def look(self) -> None:
        """Start again what has ended, and heal what has been broken for long enough."""
        for kept in self.kept:
            kept.look()
        for name, moment in list(self._healed_at.items()):
            if time.monotonic() > moment:
                self._lines[name].heal()
                del self._healed_at[name]

    def run_for(self, seconds: float) -> None:
        """Keep it running."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(0.1)

    def harm(self) -> None:
        """One fault."""
        kind = self._random.choices(list(FAULTS), list(FAULTS.values()))[0]
        site, seconds = self._random.choice(self.sites), self._random.uniform(*FAULT_SECONDS)
        line = self._lines[site.name]
        match kind:
            case "coordinator killed":
                happened = self.coordinator.kill()
            case "coordinator told to end":
                happened = self.coordinator.terminate()
            case "coordinator stopped":
                happened = self.coordinator.stop_for(seconds)
            case "site killed":
                happened = site.kill()
            case "site told to end":
                happened = site.terminate()
            case "site stopped":
                happened = site.stop_for(seconds)
            case "line cut" | "line held":
                line.cut() if kind == "line cut" else line.hold()
                happened = True
            case _:
                line.break_off(
                    self._random.choice(("up", "down")), self._random.randrange(2_000, 700_000)
                )
                happened = True
        if kind.startswith(("line", "message")):
            self._healed_at[site.name] = time.monotonic() + seconds
        self.faults[kind] += happened

    def heal(self) -> None:
        for line in self._lines.values():
            line.heal()
        self._healed_at.clear()
        for kept in self.kept:
            kept.go_on()

    def end(self) -> None:
        """Tell all to end; they do."""
        for kept in reversed(self.kept):
            kept.terminate()
            assert kept.left_over() == set()

    def final_models(self) -> list[str]:
        """The coordinator's, in order."""
        entries = self._homes.registry("coordinator").entries()
        return [entry.manifest.version for entry in entries if entry.manifest.is_final]

    def figures(self, minutes: float, seed: int) -> dict[str, object]:
        checks = self.checks
        return {
            "minutes": minutes,
            "seed": seed,
            "faults": dict(sorted(self.faults.items())),
            "exit codes": {
                kept.name: {str(code): number for code, number in sorted(kept.ends.items())}
                for kept in self.kept
            },
            "messages broken within": sum(line.broken for line in self._lines.values()),
            "rounds finished": sum(model.round > 0 for model in checks.models.values()),
            "runs finished": checks.reports(),
            "models of the coordinator": len(checks.models),
            "models verified": checks.checked,
            "audit logs verified": checks.audits,
            "audit lines": sum(checks.audit_lines.values()),
            "temporary files left": len(checks.temporary()),
        }


def test_no_round_and_no_model_is_lost(
    homes: Homes,
    processes: Processes,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    minutes, seed = (
        request.config.getoption("--soak-minutes"),
        request.config.getoption("--soak-seed"),
    )
    for name in SITES:
        # One run after another for an hour is more than a site's policy lets pass in a day.
        change_policy(
            homes.site(name), max_rounds_a_day="100000", max_untrained_measurements="100000"
        )
    port = free_port()
    with faulty_line(port) as first, faulty_line(port) as second, faulty_line(port) as third:
        soak = Soak(
            homes, processes, dict(zip(SITES, (first, second, third), strict=True)), port, seed
        )
        pauses = random.Random(seed)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            soak.run_for(min(pauses.uniform(*PAUSE_SECONDS), end - time.monotonic()))
            soak.harm()
        soak.heal()
        _all_take_the_next_final_model(soak, homes)
        soak.end()
    for name in SITES:
        soak.checks.site(name)
    figures = soak.figures(minutes, seed)
    request.config.getoption("--soak-figures").write_text(json.dumps(figures, indent=1) + "\n")
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")
    assert figures["rounds finished"]
    left = Counter(path.relative_to(homes.folder).parts[0] for path in soak.checks.temporary())
    assert all(number <= LEFT_OVER_A_HOME for number in left.values()), soak.checks.temporary()


def _all_take_the_next_final_model(soak: Soak, homes: Homes) -> None:
    """With nothing broken any more the federation is whole again by itself."""
    before = len(soak.final_models())

    def all_have_it() -> bool:
        finals = soak.final_models()[before:]
        return bool(finals) and all(homes.registry(name).current() in finals for name in SITES)

    until = time.monotonic() + LAST_RUNS_SECONDS
    while not (whole := all_have_it()) and time.monotonic() < until:
        soak.run_for(2.0)
    assert whole, [(kept.name, kept.command and kept.command.said[-20:]) for kept in soak.kept]
