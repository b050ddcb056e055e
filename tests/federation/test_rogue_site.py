"""A site with an enrolled key that answers with garbage over the wire is left out; the others finish their run."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Homes
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from node_processes import Command, Processes

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.flower.fleet import FleetConnection, Outgoing, RunOver
from ecgfl_cli.site.keys import load_node_key

pytestmark = pytest.mark.slow
METRICS = {"num-examples": 100, "pvcs": 5, "loss": 0.5}


def weights(data: bytes | None = None, stype: str = "numpy.ndarray") -> RecordDict:
    array = Array(np.full(184_802, np.nan, np.float32))
    if data is not None:
        array = Array("float32", (184_802,), stype, data)
    return RecordDict({"metrics": MetricRecord(METRICS), "arrays": ArrayRecord({"flat": array})})  # type: ignore[arg-type]


def garbled(outgoing: Outgoing) -> None:
    """Every part but the message's head is something else than its name says."""
    for name in outgoing.objects:
        outgoing.objects[name] = b"\xff" * 100


def cut_off(outgoing: Outgoing) -> None:
    for name, part in outgoing.objects.items():
        outgoing.objects[name] = part[: len(part) // 2]


def nothing(_: Outgoing) -> None:
    """As it is."""


Garbage = tuple[Callable[[], RecordDict | Error], Callable[[Outgoing], None]]
GARBAGE: dict[str, Garbage] = {
    "not finite": (weights, nothing),
    "no record": (RecordDict, nothing),
    "an error with a story": (lambda: Error(1, "x" * 10_000), nothing),
    "an array without bytes": (lambda: weights(b""), nothing),
    "an array of another kind": (lambda: weights(b"abc", "torch.save"), nothing),
    "parts cut off": (weights, cut_off),
    "parts garbled": (weights, garbled),
}


def play(connection: FleetConnection, kind: Garbage, server: Command) -> int:
    """Answer with garbage until the run is over; returns how often."""
    answered, run_id = 0, None
    while server.process.poll() is None:
        try:
            incoming = connection.receive()
            if incoming is None:
                if run_id is not None:
                    connection.is_ours(run_id)
                time.sleep(0.1)
                continue
            run_id = incoming.run_id
            request = connection.fetch(incoming)
            outgoing = connection.outgoing(Message(kind[0](), reply_to=request))
            kind[1](outgoing)
            answered += 1
            connection.send(outgoing)
        except RunOver:
            break
        except (ServerError, ObjectPushError, RuntimeError, ValueError):
            continue  # the coordinator would not have it, which is its right
    return answered


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_from_one_site_does_not_end_the_run_of_the_others(homes: Homes, processes: Processes, name: str) -> None:
    rounds = 1 if name.startswith("parts") else 3  # an upload that never ends holds each phase until its deadline
    server, port = processes.serve(homes.coordinator, "--rounds", str(rounds), "--min-sites", "2", "--phase-timeout", "20s")
    joins = [processes.join(homes.site(site).root, port) for site in ("alice", "bob")]
    server.wait_for(f"round 1 of {rounds}: training")
    key = load_node_key(homes.site("carol"))
    authority = homes.federation.ca_certificate.encode()
    with FleetConnection(f"localhost:{port}", authority, key, 3.0) as connection:
        assert play(connection, GARBAGE[name], server) >= 1
    served = server.finish()
    assert served.code == 0, served.said
    assert [join.finish().code for join in joins] == [0, 0]
    assert [set(each["sites"]) for each in served.result["rounds"]] == [{"alice", "bob"}] * rounds
    assert any(line.startswith("carol: ") for each in served.result["rounds"] for line in each["dropped"])
