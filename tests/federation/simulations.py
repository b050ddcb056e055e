"""Homes to simulate with, and a transport in this process in place of Flower's engine."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from ecgfl_adapters.registry import adapters

from ecgfl_cli.app import run
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.flower import quieten
from ecgfl_cli.federation.messages import FAILED, Content, content_of_release
from ecgfl_cli.federation.simulation.virtual_participant import VirtualParticipants
from ecgfl_cli.federation.transport import InMemoryTransport, Request

PATIENTS, SITES = 12, 3
QUICK = ("--arch", "ecgnet", "--local-epochs", "1", "--rounds", "1")

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Flower's engine is not installed: pip install 'ecgfl[simulation]'",
)


def in_process_transport(participants: VirtualParticipants, sites: int) -> InMemoryTransport:
    """Nodes 1, 2, ...: node n stands for the virtual site at place n - 1."""

    def answer(place: int, request: Request) -> Content | int:
        try:
            return content_of_release(participants.answer(place, request.kind, request.content))
        except EcgflError:
            return FAILED

    return InMemoryTransport({place + 1: partial(answer, place) for place in range(sites)})


def run_in_process(
    participants: VirtualParticipants,
    sites: int,
    processes: int,  # noqa: ARG001
    drive: Callable[..., None],
) -> None:
    """In place of `run_engine`."""
    quieten()
    transport = in_process_transport(participants, sites)
    drive(transport, {place + 1: place for place in range(sites)})


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ecgfl simulate` without Ray."""
    from ecgfl_cli.commands import simulate as command
    from ecgfl_cli.federation.simulation import simulate as simulation

    monkeypatch.setattr(command, "require_engine", lambda: None)
    monkeypatch.setattr(simulation, "run_engine", run_in_process)


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site's home with a few synthetic patients, cut for ecgnet; nobody changes it."""
    folder = tmp_path_factory.mktemp("simulated")
    for seed in range(PATIENTS):
        share = 0.15 if seed < 9 else 0.0
        clinic = folder / "files" / f"clinic-{seed % SITES}"
        clinic.mkdir(parents=True, exist_ok=True)
        adapters()["wfdb"].write(synthesise(300 + seed, 40, 250, pvc_share=share), clinic)
    home = folder / "home"
    for arguments in (
        ("init", "--site", "st-mary"),
        ("ingest", str(folder / "files")),
        ("segment", "--arch", "ecgnet"),
    ):
        assert run(["--home", str(home), "--json", *arguments]) == 0
    yield folder
    shutil.rmtree(folder)
