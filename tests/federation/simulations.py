"""Homes to simulate with, and the engine's place taken by this process: the same app answers, one virtual site after another."""

import importlib.util
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ecgfl_adapters import adapters
from flwr.app import Context, Message, Metadata, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from ecgfl_cli.app import run
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.federation.flower import quieten

PATIENTS, SITES = 12, 3
QUICK = ("--arch", "ecgnet", "--local-epochs", "1", "--rounds", "1")

TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 99

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="Flower's engine is not installed: pip install 'ecgfl[simulation]'",
)


class InProcessGrid:
    """Nodes 1, 2, ...: node n stands for the virtual site at place n - 1."""

    def __init__(self, app: ClientApp) -> None:
        self._app = app

    def send_and_receive(
        self,
        messages: Iterable[Message],
        *,
        timeout: float | None = None,  # noqa: ARG002
    ) -> list[Message]:
        return [self._answered(message) for message in messages]

    def _answered(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        message.metadata.__dict__["_message_id"] = f"to-{node}"
        context = Context(
            0, node, UserConfig({"partition-id": node - 1}), RecordDict(), UserConfig()
        )
        reply = self._app(message, context)
        assert isinstance(reply.metadata, Metadata)
        return reply


def run_in_process(
    app: ClientApp,
    sites: int,
    processes: int,  # noqa: ARG001
    drive: Callable[..., None],
    report: Any,  # noqa: ARG001
) -> None:
    """In place of `run_engine`."""
    quieten()
    drive(InProcessGrid(app), {place + 1: place for place in range(sites)})


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ecgfl simulate` without Ray."""
    from ecgfl_cli.federation.flower import engine
    from ecgfl_cli.federation.simulation import simulate as simulation

    monkeypatch.setattr(engine, "require_engine", lambda: None)
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
