"""A coordinator and three enrolled sites with small synthetic stores, made once and copied."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ecgfl_adapters.registry import adapters
from federation_homes import SITES, SMALL, Homes, change_policy, copy_of, ecgfl
from harmed_sites import harmed_run, harmed_sites  # noqa: F401
from node_processes import Processes
from shared_runs import finished, waiting  # noqa: F401
from simulations import in_process, segmented  # noqa: F401

from ecgfl_cli.demo.synthesiser import synthesise

PATIENTS_A_SITE = 3
"""The fewest of which one is held out."""
SECONDS = 120


@pytest.fixture(scope="session")
def prepared(made_once: Callable[..., Homes]) -> Homes:
    """The federation that `homes` copies. No test may change it."""
    return made_once("federation", _prepare)


def _prepare(folder: Path) -> Homes:
    homes = Homes(folder)
    ecgfl(homes.coordinator, "coordinator", "init", "--name", "localhost")
    for number, name in enumerate(SITES):
        home, exports = homes.site(name), homes.folder / "exports" / name
        exports.mkdir(parents=True)
        for patient in range(PATIENTS_A_SITE):
            # Unequal sites, so that weighting by examples shows.
            recording = synthesise(
                10 * number + patient, SECONDS + 60 * number, 250, pvc_share=0.15
            )
            adapters()["wfdb"].write(recording, exports)
        ecgfl(
            home.root,
            "init",
            "--site",
            name,
            "--federation",
            str(homes.coordinator_home.federation),
        )
        # Two rounds on six patients give a worse model than the starter model. The acceptance
        # test has tests of its own.
        change_policy(home, acceptance_margin="1.0", **SMALL)
        ecgfl(homes.coordinator, "coordinator", "enrol", str(home.node_public_key), "--site", name)
        ecgfl(home.root, "ingest", str(exports))
        for architecture in ("beatnet", "ecgnet"):
            ecgfl(home.root, "segment", "--arch", architecture)
    return homes


@pytest.fixture(scope="session")
def copied(prepared: Homes, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Homes]:
    """Makes a copy of the prepared federation."""

    def copy(name: str) -> Homes:
        return copy_of(prepared, tmp_path_factory.mktemp(name))

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


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """wrong_clock(seconds): let this process sign and compare with a clock that is ahead."""

    def set_ahead(seconds: float) -> None:
        def wrong() -> datetime:
            return datetime.now(UTC) + timedelta(seconds=seconds)

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
