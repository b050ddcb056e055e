"""A coordinator killed in any phase continues after the last stored model; the sites reconnect.

`test_kills` kills it while it waits for its first round. Here one run is killed in training, in the
evaluation of round 1, and twice between the two, when a model is stored and no site has it. The
second time, this model is the run's last, and the report is not yet written.
"""

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from faulty_line import FaultyLine, faulty_line
from federation_homes import Homes
from node_processes import Command, Ended, Processes, told
from test_join_waits import free_port

from ecgfl_cli.federation.coordinator.runs.live_state import load_state
from ecgfl_cli.federation.coordinator.runs.run_record import Phase, RunReport, load_report
from ecgfl_cli.logs import Event
from ecgfl_cli.models.manifest import Manifest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("harmed_sites")]
"""The harmed run goes on beside this one, and `test_stalled_site` need not wait for it."""

ROUNDS = 3
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
    "60s",
)
MIDDLE = 300_000
TAKEN_IN_SECONDS = 2.0
"""After its upload a site's reply is taken in; ten times a second is looked for it."""

LONG = 120.0


@dataclass
class Story:
    """What happened.

    stored : the rounds of the models in the coordinator's registry after each kill. received : the
    rounds of the models that Alice and Bob had. said : the lines of each `serve`. bob : the site
    that was there all the time.
    """

    homes: Homes
    bob: Command
    stored: dict[str, list[int]] = field(default_factory=dict)
    received: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)
    served: Ended | None = None

    def models(self) -> list[Manifest]:
        return [entry.manifest for entry in self.homes.registry("coordinator").entries()]

    def killed(self, when: str, server: Command) -> None:
        server.kill()
        self.said[when] = server.said
        self.stored[when] = [model.round for model in self.models()]
        self.received[when] = {
            name: [entry.manifest.round for entry in self.homes.registry(name).entries()]
            for name in ("alice", "bob")
        }

    def report(self, run: str) -> RunReport:
        return load_report(self.homes.coordinator_home.reports / f"{run}.json")


class Acts:
    """What is done in the story, again and again."""

    def __init__(
        self, homes: Homes, processes: Processes, lines: dict[str, FaultyLine], port: int
    ) -> None:
        self._homes, self._processes, self._lines, self._port = homes, processes, lines, port

    def serve_until_bobs_upload(self) -> Command:
        """A coordinator in the training phase, to which Bob's reply is on its way but held."""
        address = ("--host", "127.0.0.1", "--port", str(self._port))
        alices, bobs = self._lines["alice"], self._lines["bob"]
        alices.cut()  # no round begins before Bob's line is ready
        server = self._processes.start(
            self._homes.coordinator, "coordinator", "serve", *address, *PLAN
        )
        server.wait_for(Event.SITE_CONNECTED, site="bob")
        held = bobs.broken + 1
        bobs.hold_within("up", MIDDLE)
        alices.heal()
        bobs.wait_until_broken(held, LONG)
        server.wait_for(Event.ROUND_STARTED)
        return server

    def join(self, name: str) -> Command:
        return self._processes.start(
            self._homes.site(name).root, "join", "--server", f"localhost:{self._lines[name].port}"
        )

    def stored_and_sent_to_nobody(self, server: Command, alice: Command, this_round: int) -> None:
        """Let Alice reply and leave, then Bob reply: the model has too few sites to measure it."""
        alice.wait_for(Event.TRAINED, LONG, round=this_round)
        time.sleep(TAKEN_IN_SECONDS)
        assert alice.end().code == 130
        server.wait_for(Event.SITE_LEFT, site="alice")
        self._lines["bob"].heal()
        registry = self._homes.registry("coordinator")
        _wait_for(lambda: registry.entries()[-1].manifest.round == this_round)


@pytest.fixture(scope="module")
def story(copied: Callable[[str], Homes], module_processes: Processes) -> Iterator[Story]:
    homes, port = copied("killed-coordinator"), free_port()
    with faulty_line(port) as alices, faulty_line(port) as bobs:
        acts = Acts(homes, module_processes, {"alice": alices, "bob": bobs}, port)
        alice, bob = acts.join("alice"), acts.join("bob")
        story = Story(homes, bob)
        server = acts.serve_until_bobs_upload()
        story.killed("training", server)
        bobs.heal()

        server = acts.serve_until_bobs_upload()
        _wait_for(lambda: len(alice.logged(Event.TRAINED, round=1)) == 2)
        alices.hold_within("down", MIDDLE)
        bobs.heal()
        alices.wait_until_broken(1, LONG)
        _wait_until_measuring(homes)
        story.killed("evaluation", server)
        alices.heal()

        for this_round, when in ((2, "between"), (3, "before the report")):
            server = acts.serve_until_bobs_upload()
            acts.stored_and_sent_to_nobody(server, alice, this_round)
            story.killed(when, server)
            alice = acts.join("alice")

        address = ("--host", "127.0.0.1", "--port", str(port))
        story.served = module_processes.run(
            homes.coordinator, "coordinator", "serve", *address, *PLAN, seconds=LONG
        )
        yield story


def _wait_until_measuring(homes: Homes) -> None:
    def measuring() -> bool:
        state = load_state(homes.coordinator_home.state)
        return state is not None and (state.phase_code, state.phase_round) == (
            Phase.MEASURING,
            1,
        )

    _wait_for(measuring)


def _wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killed_in_training_the_round_is_trained_again(story: Story) -> None:
    assert story.stored["training"] == [0]
    assert story.received["training"] == {"alice": [], "bob": []}


def test_killed_in_evaluation_it_keeps_the_model_without_figures(story: Story) -> None:
    assert story.stored["evaluation"] == [0, 1]
    assert story.received["evaluation"]["alice"] == [], "half a model is none"
    assert [line for line in story.said["between"] if "resuming after round 1 of 3" in line]


def test_killed_before_a_model_was_sent_it_is_not_made_again(story: Story) -> None:
    assert story.stored["between"] == [0, 1, 2]
    assert all(2 not in received for received in story.received["between"].values())
    assert [
        line for line in story.said["before the report"] if "resuming after round 2 of 3" in line
    ]


def test_no_round_is_lost_or_made_twice(story: Story) -> None:
    models = story.models()
    assert [model.round for model in models] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [model.sequence for model in models] == list(range(1, 9))
    assert [model.parent for model in models] == [None, *(model.version for model in models[:-1])]
    assert [len({model.run for model in part}) for part in (models[:4], models[4:])] == [1, 1]
    assert models[4].weights_sha256 == models[3].weights_sha256, (
        "the next run begins with the last model of the one before"
    )
    for model in models:
        story.homes.registry("coordinator").load(model.version)


def test_run_killed_before_its_report_has_one_after_a_restart(story: Story) -> None:
    models = story.models()
    report = story.report(models[0].run)
    assert (report.outcome, report.starts, report.final) == ("finished", 4, models[3].version)
    assert [each.version for each in report.rounds] == [model.version for model in models[1:4]]
    assert [each.metrics for each in report.rounds] == [None] * ROUNDS, (
        "none of them came to be measured"
    )
    page = (story.homes.coordinator_home.reports / f"{models[0].run}.html").read_text()
    assert models[3].version in page


def test_sites_reconnect_and_end_with_the_last_model(story: Story) -> None:
    served = story.served
    assert served is not None
    assert served.code == 0, served.said
    assert story.bob.code is None, "one process through all of it"
    for name in ("alice", "bob"):
        _wait_for(lambda name=name: story.homes.registry(name).current() == served.result["model"])
        assert told(story.homes.site(name).root, "model", "verify").code == 0
        assert told(story.homes.site(name).root, "audit", "verify").code == 0
    story.bob.send(signal.SIGTERM)
    assert story.bob.finish().code == 130
