"""Sites are enrolled and revoked while the coordinator serves, without a restart."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation_homes import Homes, ecgfl
from node_processes import Command, Ended, Processes, told

from ecgfl_cli.logs import Event

DEADLINE_SECONDS = 8.0


@pytest.fixture
def serving(homes: Homes, processes: Processes) -> Iterator[tuple[Command, int]]:
    server, port = processes.serve(homes.coordinator, "--min-sites", "3")
    server.wait_for(Event.WAITING_FOR_SITES)
    yield server, port
    assert server.code is None, server.said


def joins(home: Path, port: int, code: int) -> Ended:
    """Join until it ends with this code, because the coordinator reads its list periodically."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        ended = told(home, "join", "--server", f"localhost:{port}", "--once", "--max-wait", "1s")
        if ended.code == code or time.monotonic() > deadline:
            assert ended.code == code, ended.said
            return ended


def revoke(homes: Homes, site: str) -> None:
    ecgfl(homes.coordinator, "coordinator", "revoke", site)


def enrol(homes: Homes, site: str, name: str) -> None:
    ecgfl(
        homes.coordinator,
        "coordinator",
        "enrol",
        str(homes.site(site).node_public_key),
        "--site",
        name,
    )


def test_a_revoked_key_is_refused(homes: Homes, serving: tuple[Command, int]) -> None:
    joins(homes.site("carol").root, serving[1], 0)
    revoke(homes, "carol")
    assert "enrolled" in joins(homes.site("carol").root, serving[1], 4).refused(4)
    joins(homes.site("alice").root, serving[1], 0)


def test_a_key_that_is_enrolled_again_is_accepted(
    homes: Homes, serving: tuple[Command, int]
) -> None:
    revoke(homes, "carol")
    joins(homes.site("carol").root, serving[1], 4)
    enrol(homes, "carol", "carol")
    joins(homes.site("carol").root, serving[1], 0)


def test_a_key_that_is_enrolled_under_a_new_name_is_accepted(
    homes: Homes, serving: tuple[Command, int]
) -> None:
    revoke(homes, "bob")
    enrol(homes, "bob", "robert")
    joins(homes.site("bob").root, serving[1], 0)
    serving[0].wait_for(Event.SITE_CONNECTED, DEADLINE_SECONDS, site="robert")


def test_a_new_site_is_accepted_without_a_restart(
    homes: Homes, serving: tuple[Command, int]
) -> None:
    home = homes.site("alice")
    (home.root / "keys" / "node").unlink()
    (home.root / "keys" / "node.pub").unlink()
    ecgfl(home.root, "init", "--site", "alice")
    joins(home.root, serving[1], 4)
    enrol(homes, "alice", "dave")
    joins(home.root, serving[1], 0)
