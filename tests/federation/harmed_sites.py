"""A run of seven sites, of which five come to harm in round 2.

Carol is killed while she trains, Dave during his upload, and Erin while she receives the model to
measure. Frank's line carries nothing any more. Grace's process is stopped until the phase is over.

The coordinator gives up a killed site's session after a minute. Other tests run meanwhile.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from faulty_line import FaultyLine, faulty_line
from federation_homes import Homes
from more_sites import with_more_sites
from node_processes import Command, Ended, Processes, contents

from ecgfl_cli.logs import Event
from ecgfl_cli.site.audit import without_finished_intents

ROUNDS = 12
PLAN = (
    "--rounds",
    str(ROUNDS),
    "--min-sites",
    "2",
    "--arch",
    "ecgnet",
    "--local-epochs",
    "5",
    "--phase-timeout",
    "40s",
)
KILLED = ("carol", "dave", "erin")
HARMED = (*KILLED, "frank", "grace")
MODEL, MIDDLE = 4 * 184_802, 300_000
"""Bytes: of the network's weights, and about half of them."""

FRANKS_PATIENCE = "45s"
"""Also for the others to come, on a busy machine."""

WITHIN_SECONDS = 180.0


@dataclass(frozen=True)
class HarmedSites:
    """What had to be done is done, and the killed ones are started again.

    left : the files of each killed site that have changed since round 1. events : the lines of its
    audit log from then on.
    """

    homes: Homes
    server: Command
    sites: dict[str, Command]
    left: dict[str, dict[str, bytes]]
    events: dict[str, list[dict[str, Any]]]

    def end(self) -> "HarmedRun":
        joined = {name: site.finish(WITHIN_SECONDS) for name, site in self.sites.items()}
        return HarmedRun(
            self.homes, self.server.finish(WITHIN_SECONDS), joined, self.left, self.events
        )


@dataclass(frozen=True)
class HarmedRun:
    """The same run, ended. joined : of a killed site its second life."""

    homes: Homes
    served: Ended
    joined: dict[str, Ended]
    left: dict[str, dict[str, bytes]]
    events: dict[str, list[dict[str, Any]]]

    def round(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.served.result["rounds"][number - 1]
        return found


@pytest.fixture(scope="session")
def harmed_sites(copied: Callable[[str], Homes]) -> Iterator[HarmedSites]:
    if sys.platform == "win32":
        pytest.skip("no process can be held there")
    homes, running = (
        with_more_sites(copied("harmed"), "dave", "erin", "frank", "grace"),
        Processes(),
    )
    with ExitStack() as stack:
        stack.callback(running.end_all)
        server, port = running.serve(homes.coordinator, *PLAN)
        sites = {name: running.join(homes.site(name).root, port) for name in ("alice", "bob")}
        server.wait_for(Event.ROUND_STARTED, round=1)
        sites["alice"].send(signal.SIGSTOP)  # until all are there
        lines: dict[str, FaultyLine] = {
            name: stack.enter_context(faulty_line(port)) for name in HARMED
        }
        patience = {"frank": FRANKS_PATIENCE}
        for name, line in lines.items():
            sites[name] = running.join(
                homes.site(name).root, line.port, max_wait=patience.get(name, "120s")
            )
        for name in HARMED:
            server.wait_for(Event.SITE_CONNECTED, site=name)
        _arm(lines)
        sites["alice"].send(signal.SIGCONT)
        for name in KILLED:
            sites[name].wait_for(Event.MEASURED, round=1)
        before = {name: contents(homes.site(name).root) for name in KILLED}
        _kill(sites, lines)
        after = {name: contents(homes.site(name).root) for name in KILLED}
        left = {
            name: {
                file: data for file, data in after[name].items() if before[name].get(file) != data
            }
            for name in KILLED
        }
        events = {name: _events(homes, name) for name in KILLED}
        for name in KILLED:
            lines[name].heal()
            sites[name] = running.join(homes.site(name).root, lines[name].port, max_wait="120s")
        server.wait_for(Event.REPLY_DROPPED, site="grace")
        sites["grace"].send(signal.SIGCONT)
        lines["frank"].wait_until_broken()
        yield HarmedSites(homes, server, sites, left, events)


@pytest.fixture(scope="session")
def harmed_run(harmed_sites: HarmedSites) -> HarmedRun:
    return harmed_sites.end()


def _arm(lines: dict[str, FaultyLine]) -> None:
    """Prepare the lines.

    Each site receives the model of round 1 to measure, the same to train from, and the model of
    round 2 to measure.
    """
    for name in ("carol", "frank", "grace"):
        lines[name].hold_within("down", MIDDLE, spares=1)
    lines["dave"].hold_within("up", MIDDLE)
    lines["erin"].hold_within("down", MIDDLE, spares=2)


def _kill(sites: dict[str, Command], lines: dict[str, FaultyLine]) -> None:
    """The three, and stop Grace."""
    for name, number in (("carol", signal.SIGKILL), ("grace", signal.SIGSTOP)):
        lines[name].wait_until_broken()
        arrived = lines[name].passed["down"] + MODEL - MIDDLE
        lines[name].heal()
        lines[name].wait_until_passed("down", arrived)
        sites[name].send(number)
    lines["dave"].wait_until_broken()
    sites["dave"].kill()
    lines["erin"].wait_until_broken()
    sites["erin"].kill()


def _events(homes: Homes, name: str) -> list[dict[str, Any]]:
    """What its audit log tells since it sent the figures of round 1."""
    lines = [json.loads(line) for line in homes.site(name).audit.read_text().splitlines()]
    measured = max(number for number, line in enumerate(lines) if line.get("kind") == "evaluate")
    return without_finished_intents(lines[measured + 1 :])
