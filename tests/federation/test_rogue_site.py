"""Enrolled sites that answer with garbage are left out; the others finish their run."""

import contextlib
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from federation_homes import Homes, ecgfl
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_object_id
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from node_processes import Command, Ended, Processes

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.flower.fleet import FleetConnection, Outgoing, RunOver
from ecgfl_cli.logs import Event
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack
from ecgfl_cli.site.keys import load_node_key

pytestmark = pytest.mark.slow
METRICS: dict[str, Any] = {"num-examples": 100, "pvcs": 5, "loss": 0.5}
ARCHITECTURE = "ecgnet"
LENGTH = pack(architecture(ARCHITECTURE).build()).size


def weights(
    data: bytes | None = None,
    stype: str = "numpy.ndarray",
    value: float = np.nan,
    examples: int = METRICS["num-examples"],
) -> RecordDict:
    array = Array(np.full(LENGTH, value, np.float32))
    if data is not None:
        array = Array("float32", (LENGTH,), stype, data)
    metrics = MetricRecord({**METRICS, "num-examples": examples})
    return RecordDict({"metrics": metrics, "arrays": ArrayRecord({"flat": array})})


def garbled(outgoing: Outgoing) -> None:
    """Every part but the message's head is something else than its name says."""
    for name in outgoing.objects:
        outgoing.objects[name] = b"\xff" * 100


def cut_off(outgoing: Outgoing) -> None:
    for name, part in outgoing.objects.items():
        outgoing.objects[name] = part[: len(part) // 2]


def rebuild(outgoing: Outgoing, kind: str, change: Callable[[str], str]) -> None:
    """Change the content of the parts of one kind.

    Every part is named after its new content, because the coordinator compares them.
    """
    parts, names = dict(outgoing.objects), {}
    outgoing.objects.clear()

    def named_again(tree: ObjectTree) -> None:
        for child in tree.children:
            named_again(child)
        data = parts[tree.object_id]
        for old, new in names.items():
            data = data.replace(old.encode(), new.encode())
        if data.startswith(kind.encode() + b" "):
            head, body = data.split(b"\0", 1)
            changed = change(body.decode("latin-1")).encode("latin-1")
            data = b"%s %d\0%s" % (head.rpartition(b" ")[0], len(changed), changed)
        names[tree.object_id] = get_object_id(data)
        tree.object_id = names[tree.object_id]
        outgoing.objects[tree.object_id] = data

    named_again(outgoing.tree)
    outgoing.head.metadata.message_id = outgoing.tree.object_id


def in_pieces(outgoing: Outgoing) -> None:
    """An array that names its one piece a hundred thousand times."""
    rebuild(
        outgoing,
        "Array",
        lambda body: json.dumps({**json.loads(body), "arraychunk_ids": [0] * 100_000}),
    )


def of_another_form(outgoing: Outgoing) -> None:
    """Records that name parts which are not there."""
    rebuild(outgoing, "RecordDict", lambda _: json.dumps({"metrics": "f" * 64}))


def for_another(outgoing: Outgoing) -> None:
    """Inside, the reply is one to another message than it was announced for."""
    mine = outgoing.head.metadata.reply_to_message_id
    rebuild(outgoing, "Message", lambda body: body.replace(mine, "0" * len(mine)))


def within_itself(outgoing: Outgoing) -> None:
    """A part that holds itself."""
    outgoing.tree.children.add(object_id=outgoing.tree.object_id)


def nothing(_: Outgoing) -> None:
    """As it is."""


Garbage = tuple[Callable[[], RecordDict | Error], Callable[[Outgoing], None]]
GARBAGE: dict[str, Garbage] = {
    "not-finite": (weights, nothing),
    "a-huge-update": (lambda: weights(value=1e6), nothing),
    "absurd-examples": (lambda: weights(value=0.01, examples=900_000_000), nothing),
    "no-record": (RecordDict, nothing),
    "an-error-with-a-story": (lambda: Error(1, "x" * 10_000), nothing),
    "an-array-without-bytes": (lambda: weights(b""), nothing),
    "an-array-of-another-kind": (lambda: weights(b"abc", "torch.save"), nothing),
    "an-array-of-74-gigabytes": (weights, in_pieces),
    "records-of-another-form": (weights, of_another_form),
    "the-reply-of-another": (lambda: weights(value=0.01), for_another),
}
# The upload never ends or is turned away, which holds each phase until its deadline.
PARTS: dict[str, Garbage] = {
    "parts-cut-off": (weights, cut_off),
    "parts-garbled": (weights, garbled),
    "a-part-within-itself": (weights, within_itself),
}


class Rogue:
    """A site that answers every request with one kind of garbage. answers : how often it has."""

    def __init__(self, connection: FleetConnection, kind: Garbage) -> None:
        self._connection, (self._content, self._spoil) = connection, kind
        self._run_id: int | None = None
        self.answers = 0

    def answer(self) -> None:
        """Answer the next request if there is one. Raises `RunOver`."""
        incoming = self._connection.receive()
        if incoming is None:
            if self._run_id is not None:
                self._connection.is_ours(self._run_id)
            return
        self._run_id = incoming.run_id
        request = self._connection.fetch_message(incoming)
        if request is None:
            return
        outgoing = self._connection.outgoing(Message(self._content(), reply_to=request))
        self._spoil(outgoing)
        self.answers += 1
        self._connection.send(outgoing)


def play(rogues: list[Rogue], server: Command) -> None:
    """Answer with garbage until the run is over."""
    while server.code is None:
        for rogue in rogues:
            try:
                rogue.answer()
            except RunOver:
                return
            except (ServerError, ObjectPushError, RuntimeError, ValueError):
                continue  # the coordinator would not have it, which is its right
        time.sleep(0.1)


@dataclass(frozen=True)
class Run:
    """A run of Alice and Bob, ended. answers : how often each rogue site answered."""

    served: Ended
    joined: list[Ended]
    answers: dict[str, int]

    def dropped(self, name: str) -> list[str]:
        """Why the replies of this site were left out."""
        replies = [
            reply for each in self.served.result["rounds"] for reply in each["dropped_replies"]
        ]
        return [reply["reason"] for reply in replies if reply["site"] == name]


def run_with(
    rogues: dict[str, Garbage], rounds: int, timeout: str, homes: Homes, processes: Processes
) -> Run:
    """Each rogue site is there from the measurement of round 1 on; it connects within one phase."""
    for name in rogues:
        home = homes.site(name)
        ecgfl(
            home.root,
            "init",
            "--site",
            name,
            "--federation",
            str(homes.coordinator_home.federation),
        )
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
    plan = (
        "--rounds",
        str(rounds),
        "--min-sites",
        "2",
        "--arch",
        ARCHITECTURE,
        "--phase-timeout",
        timeout,
    )
    server, port = processes.serve(homes.coordinator, *plan)
    joins = [processes.join(homes.site(site).root, port) for site in ("alice", "bob")]
    server.wait_for(Event.ROUND_STARTED, round=1)
    # Alice is held until all are there: the order does not depend on the machine.
    joins[0].send(signal.SIGSTOP)
    authority = homes.federation.ca_certificate.encode()
    with contextlib.ExitStack() as connected:
        there = {}
        for name, kind in rogues.items():
            key, coordinator = load_node_key(homes.site(name)), homes.federation.signing_public_key
            connection = FleetConnection(f"localhost:{port}", authority, key, coordinator, 3.0)
            there[name] = Rogue(connected.enter_context(connection), kind)
        joins[0].send(signal.SIGCONT)
        play(list(there.values()), server)
    return Run(
        server.finish(),
        [join.finish() for join in joins],
        {name: rogue.answers for name, rogue in there.items()},
    )


@pytest.fixture(scope="module")
def garbage(copied: Callable[[str], Homes], module_processes: Processes) -> Run:
    return run_with(GARBAGE, 3, "120s", copied("garbage"), module_processes)


@pytest.fixture(scope="module")
def parts(copied: Callable[[str], Homes], module_processes: Processes) -> Run:
    return run_with(PARTS, 1, "30s", copied("parts"), module_processes)


@pytest.mark.parametrize("name", [*GARBAGE, *PARTS])
def test_garbage_from_one_site_does_not_end_the_run_of_the_others(
    request: pytest.FixtureRequest, name: str
) -> None:
    rounds, run = (
        (3, request.getfixturevalue("garbage"))
        if name in GARBAGE
        else (1, request.getfixturevalue("parts"))
    )
    assert run.answers[name] >= 1, run.served.said
    assert run.served.code == 0, run.served.said
    assert [joined.code for joined in run.joined] == [0, 0]
    assert [set(each["sites"]) for each in run.served.result["rounds"]] == [
        {"alice", "bob"}
    ] * rounds
    assert run.dropped(name)


def test_weights_of_the_right_length_are_dropped_for_what_they_are(garbage: Run) -> None:
    assert "weights that are not finite" in garbage.dropped("not-finite")
    assert [
        line
        for line in garbage.dropped("a-huge-update")
        if "times the median of the sites'" in line
    ]
    assert "900000000 training beats, declared were at most 10000000" in garbage.dropped(
        "absurd-examples"
    )
