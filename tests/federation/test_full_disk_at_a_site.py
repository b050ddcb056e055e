"""A site whose disk is full when a model arrives says so, and takes part again later."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_line import faulty_line
from federation_homes import Homes
from node_processes import Processes, told
from small_disk import Disk

from ecgfl_cli.logs import Event

pytestmark = pytest.mark.slow

PLAN = ("--rounds", "1", "--min-sites", "2", "--arch", "ecgnet", "--phase-timeout", "60s")
KILOBYTES = 16_384
MIDDLE = 300_000
"""Bytes: room for the audit log, but for half a model only."""


@pytest.fixture
def small(homes: Homes) -> Iterator[Disk]:
    """Alice's home, moved to a disk of its own."""
    home = homes.site("alice").root
    elsewhere = home.rename(home.with_name("elsewhere"))
    disk = Disk(home, KILOBYTES)
    try:
        shutil.copytree(elsewhere, home, dirs_exist_ok=True)
        yield disk
    finally:
        disk.unmount()


def models_of(home: Path) -> list[str]:
    """Everything in the registry's folder."""
    return sorted(str(path.relative_to(home)) for path in (home / "models").rglob("*"))


@pytest.mark.parametrize("room", [MIDDLE, 0], ids=["room-for-the-log", "no-room"])
def test_the_disk_is_full_when_the_model_arrives(
    homes: Homes, processes: Processes, small: Disk, room: int
) -> None:
    alice = homes.site("alice")
    server, port = processes.serve(homes.coordinator, *PLAN)
    with faulty_line(port) as bobs:
        bobs.hold_within("up", MIDDLE)  # no model is made before the disk is full
        joins = [
            processes.join(alice.root, port),
            processes.join(homes.site("bob").root, bobs.port),
        ]
        joins[0].wait_for(Event.TRAINED, round=1)
        bobs.wait_until_broken()
        small.fill(all_but=room)
        bobs.heal()
        ended, other = (join.finish() for join in joins)
        served = server.finish()
    assert "space" in ended.refused(3)
    assert models_of(alice.root) == ["models/pruned.jsonl"], "the manifest that it trained from"
    assert homes.registry("alice").current() is None
    assert told(alice.root, "audit", "verify").code == 0
    events = [json.loads(line)["event"] for line in alice.audit.read_text().splitlines()]
    assert "model-received" not in events
    assert (served.code, other.code) == (0, 0), served.said
    (line,) = served.result["rounds"][0]["dropped"]
    assert line.startswith("alice: ")
    assert homes.registry("bob").current() == served.result["model"]

    small.make_room()
    server, port = processes.serve(homes.coordinator, *PLAN)
    joins = [processes.join(homes.site(name).root, port) for name in ("alice", "bob")]
    assert [join.finish().code for join in joins] == [0, 0]
    assert homes.registry("alice").current() == server.finish().result["model"]
    assert told(alice.root, "audit", "verify").code == told(alice.root, "model", "verify").code == 0
