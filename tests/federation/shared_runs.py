"""Runs that many tests look at and none changes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from federation_homes import SITES, Homes, copy_of
from node_processes import Command, Ended, Processes, Socket, sockets_of

from ecgfl_cli.logs import Event


@dataclass(frozen=True)
class Finished:
    """A finished run of three sites: how the commands ended, and which sockets they had."""

    homes: Homes
    port: int
    served: Ended
    joined: dict[str, Ended]
    sockets: dict[str, set[Socket]]


@pytest.fixture(scope="session")
def finished(made_once: Callable[..., Finished], prepared: Homes) -> Finished:
    """Two rounds over TLS with node keys; the coordinator and each site are processes."""
    return made_once("finished", lambda folder: _finished(copy_of(prepared, folder)))


def _finished(homes: Homes) -> Finished:
    running = Processes()
    try:
        server, port = running.serve(homes.coordinator, "--rounds", "2", "--min-sites", "3")
        commands = {name: running.join(homes.site(name).root, port) for name in SITES}
        for command in commands.values():
            command.wait_for(Event.TRAINED, round=1)
        sockets = {
            name: sockets_of(command.pid)
            for name, command in {"coordinator": server, **commands}.items()
        }
        joined = {name: command.finish() for name, command in commands.items()}
        return Finished(homes, port, server.finish(), joined, sockets)
    finally:
        running.end_all()


@dataclass(frozen=True)
class Waiting:
    """A coordinator that waits for a third site, which never comes."""

    homes: Homes
    port: int
    server: Command


@pytest.fixture(scope="session")
def waiting(copied: Callable[[str], Homes]) -> Iterator[Waiting]:
    homes, running = copied("waiting"), Processes()
    try:
        server, port = running.serve(homes.coordinator, "--min-sites", "3")
        server.wait_for(Event.WAITING_FOR_SITES, connected=0)
        yield Waiting(homes, port, server)
    finally:
        running.end_all()
