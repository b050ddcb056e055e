"""A coordinator and three enrolled sites with small synthetic stores, made once and copied for each test that changes them."""

import contextlib
import io
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ecgfl_adapters.discovery import adapters
from harmed_sites import harmed_run, harmed_sites  # noqa: F401
from node_processes import Command, Ended, Processes, Socket, sockets_of
from simulations import in_process, segmented  # noqa: F401

from ecgfl_cli.app import run
from ecgfl_cli.demo.synthesiser import synthesise
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.federation_file import Federation, load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.site.home import Home

SITES = ("alice", "bob", "carol")
PATIENTS_A_SITE = 3
"""The fewest of which one is held out."""
SECONDS = 120


@dataclass(frozen=True)
class Homes:
    """The coordinator's home and those of its sites, in one folder."""

    folder: Path

    @property
    def coordinator(self) -> Path:
        return self.folder / "coordinator"

    @property
    def coordinator_home(self) -> CoordinatorHome:
        return CoordinatorHome(Home(self.coordinator).coordinator)

    @property
    def federation(self) -> Federation:
        return load_federation(self.coordinator_home.federation)

    def site(self, name: str) -> Home:
        return Home(self.folder / name)

    def registry(self, name: str) -> Registry:
        folder = self.coordinator_home.models if name == "coordinator" else self.site(name).models
        return Registry(folder, self.federation.signing_key)


def ecgfl(home: Path, *arguments: str) -> None:
    """A command in this process, for what the tests need beforehand."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = run(["--home", str(home), *arguments])
    assert code == 0, said.getvalue()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    """Never to be changed: take `homes`."""
    homes = Homes(tmp_path_factory.mktemp("federation"))
    ecgfl(homes.coordinator, "coordinator", "init", "--name", "localhost")
    for number, name in enumerate(SITES):
        home, exports = homes.site(name), homes.folder / "exports" / name
        exports.mkdir(parents=True)
        for patient in range(PATIENTS_A_SITE):
            # Unequal sites, so that weighting by examples shows.
            recording = synthesise(10 * number + patient, SECONDS + 60 * number, 250, pvc_share=0.15)
            adapters()["wfdb"].write(recording, exports)
        ecgfl(home.root, "init", "--site", name, "--federation", str(homes.coordinator_home.federation))
        # What two rounds on six patients come to is no match for the starter model; the acceptance test has tests of its own.
        text, usual = home.settings.read_text(), "acceptance_margin = 0.05"
        assert usual in text
        home.settings.write_text(text.replace(usual, "acceptance_margin = 1.0"))
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
        ecgfl(home.root, "ingest", str(exports))
        ecgfl(home.root, "segment")
    return homes


@pytest.fixture(scope="session")
def copied(prepared: Homes, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Homes]:
    """Makes a copy of the prepared federation."""

    def copy(name: str) -> Homes:
        folder = tmp_path_factory.mktemp(name)
        shutil.copytree(prepared.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("exports"))
        return Homes(folder)

    return copy


@pytest.fixture
def homes(copied: Callable[[str], Homes]) -> Homes:
    """A federation of this test's own."""
    return copied("own")


@pytest.fixture
def processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    running.end_all()


@pytest.fixture(scope="module")
def module_processes() -> Iterator[Processes]:
    running = Processes()
    yield running
    running.end_all()


@dataclass(frozen=True)
class Finished:
    """A federation of three sites that ran to its end: how the commands ended, and the sockets they held meanwhile."""

    homes: Homes
    port: int
    served: Ended
    joined: dict[str, Ended]
    sockets: dict[str, set[Socket]]


@pytest.fixture(scope="session")
def finished(copied: Callable[[str], Homes]) -> Iterator[Finished]:
    """Two rounds, over TLS with node keys, one process for each."""
    homes, running = copied("finished"), Processes()
    try:
        server, port = running.serve(homes.coordinator, "--rounds", "2", "--min-sites", "3")
        commands = {name: running.join(homes.site(name).root, port) for name in SITES}
        for command in commands.values():
            command.wait_for("round 1 of 2: trained")
        sockets = {name: sockets_of(command.pid) for name, command in {"coordinator": server, **commands}.items()}
        joined = {name: command.finish() for name, command in commands.items()}
        yield Finished(homes, port, server.finish(), joined, sockets)
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
        server.wait_for("waiting for sites: 0 of at least 3")
        yield Waiting(homes, port, server)
    finally:
        running.end_all()


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """wrong_clock(seconds): this process's clock is ahead by that much, for what it signs and compares."""

    def set_ahead(seconds: float) -> None:
        def wrong() -> datetime:
            return datetime.now(UTC) + timedelta(seconds=seconds)

        monkeypatch.setattr("flwr.supernode.node_auth_http_interceptor.now", wrong)
        monkeypatch.setattr("ecgfl_cli.federation.flower.fleet_client.now", wrong)

    return set_ahead


@pytest.fixture(params=["flower", "ecgfl"])
def other_version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the Flower, or speaks the protocol, of another year."""
    if request.param == "ecgfl":
        monkeypatch.setattr("ecgfl_cli.federation.flower.fleet_client.PROTOCOL", "0")
        return
    from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

    old = RuntimeVersionMetadata("flwr", "1.30.0", "SuperNode")
    monkeypatch.setattr(RuntimeVersionMetadata, "from_local_component", lambda *_, **__: old)
