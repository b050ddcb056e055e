"""Where the real recordings are, and what tests of the command line share."""

import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from ecgfl_adapters.recording import Recording
from ecgfl_adapters.registry import adapters
from filelock import FileLock
from fork_server import start_fork_server
from log_lines import as_on_a_terminal

from ecgfl_cli.demo.synthesiser import synthesise

DEFAULT_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
T = TypeVar("T")

LONG_FILES = (
    "test_coordinator_killed_in_each_phase.py",
    "test_site_killed_in_each_phase.py",
    "test_stalled_site.py",
    "test_join_waits.py",
    "test_rogue_site.py",
    "test_strategies_in_a_run.py",
)
"""Files that mostly wait for processes and deadlines. Beside other files, they cost little time;
alone at the end, they cost all of theirs."""

TOGETHER = {
    "test_site_killed_in_each_phase.py": "harmed sites",
    "test_stalled_site.py": "harmed sites",
    "test_coordinator_killed_in_each_phase.py": "harmed sites",
}
"""Files that use one run of processes, which must not be started twice."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--soak-minutes",
        type=float,
        default=0.0,
        help="For how long the tests marked soak run; without it not at all.",
    )
    parser.addoption("--soak-seed", type=int, default=1, help="Of the faults' kinds and moments.")
    parser.addoption(
        "--soak-figures",
        type=Path,
        default=Path("soak.json"),
        help="The file that takes what was counted.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001
    call: pytest.CallInfo[None],  # noqa: ARG001
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what a test logged: pytest-xdist cannot send names that are not valid UTF-8."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


def pytest_configure() -> None:
    """Accept SIGINT, also when a shell started the runner in the background.

    Such a shell lets its jobs ignore SIGINT, and the processes that the tests start inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:  # noqa: ARG001
    """Return the number of workers for `-n auto`: one more than cores, because some tests wait."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all tests of a file to one worker, because they share fixtures; the long files first."""
    from xdist.scheduler import LoadScopeScheduling

    class FilesTogether(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return TOGETHER.get(Path(file).name, file)

    config.option.loadscopereorder = False
    return FilesTogether(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the long files first for parallel workers, and leave out the soak test.

    The soak test runs only with --soak-minutes, also if it is named.
    """
    if hasattr(config, "workerinput"):
        order = {name: index for index, name in enumerate(LONG_FILES)}
        items.sort(key=lambda item: order.get(item.path.name, len(order)))
    if config.getoption("--soak-minutes"):
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.fixture(scope="session", autouse=True)
def _fork_server() -> None:
    """Let the fork server load its modules beside the first tests."""
    start_fork_server()


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], T]], T]:
    """made_once(name, make): the result of make(folder), made by one worker for all of them.

    The result must be picklable. Nothing may be changed in the folder afterwards.
    """

    def made_once(name: str, make: Callable[[Path], T]) -> T:
        temporary = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            temporary = temporary.parent
        result = temporary / f"{name}.pickle"
        with FileLock(temporary / f"{name}.lock"):
            if not result.exists():
                folder = temporary / name
                shutil.rmtree(folder, ignore_errors=True)  # what a failed attempt left
                folder.mkdir()
                result.write_bytes(pickle.dumps(make(folder)))
        made: T = pickle.loads(result.read_bytes())  # noqa: S301 - written by this test run
        return made

    return made_once


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips the test with a reason where there is none."""
    folder = Path(os.environ.get("ECGFL_TEST_DATA", DEFAULT_DATA))
    if not (folder / "mitdb" / "100.hea").is_file():
        pytest.skip(f"real recordings are not in {folder}: set ECGFL_TEST_DATA")
    return folder


class Ran(NamedTuple):
    """How a command ended and what it wrote. err : the lines on stderr as a terminal shows them."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; fails when there is more or less."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def problems(self) -> list[str]:
        """The lines that tell a person what is wrong."""
        return [line for line in self.err.splitlines() if line.startswith("ecgfl: ")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where every command's home is; nothing is there yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("ECGFL_HOME", str(folder))
    return folder


@pytest.fixture
def ecgfl(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:  # noqa: ARG001
    """ecgfl("ingest", path, ...): run one command line in this process."""
    from ecgfl_cli.app import run

    def ecgfl(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(code, out, as_on_a_terminal(err))

    return ecgfl


@pytest.fixture
def site(home: Path, ecgfl: Callable[..., Ran]) -> Path:
    """The home of a site, just made."""
    assert ecgfl("init", "--site", "st-mary").code == 0
    return home


@pytest.fixture
def listed(ecgfl: Callable[..., Ran]) -> Callable[[], list[dict[str, Any]]]:
    """listed(): what `dataset list --json` says."""
    return lambda: ecgfl("dataset", "list", "--json").json["recordings"]


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """export(recording or seed, format): write a file as a recorder does.

    A seed makes a synthetic minute with PVCs.
    """

    def export(
        recording: Recording | int,
        file_format: str = "wfdb",
        *,
        seconds: float = 60,
        fs: float = 250,
    ) -> Path:
        made = (
            synthesise(recording, seconds, fs, pvc_share=0.15)
            if isinstance(recording, int)
            else recording
        )
        folder = tmp_path / "exports" / file_format
        folder.mkdir(parents=True, exist_ok=True)
        return adapters()[file_format].write(made, folder)[0]

    return export


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    """files_of(folder): every file below it with its content; folders count, too."""

    def files_of(folder: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
            for path in sorted(folder.rglob("*"))
        }

    return files_of


class Federation(NamedTuple):
    """A coordinator's home with one signed model, trained on synthetic beats.

    version : of the model.
    """

    root: Path
    version: str


@pytest.fixture(scope="session")
def federation(made_once: Callable[..., tuple[Path, str]]) -> Federation:
    """A coordinator with one model. No test may change it."""
    return Federation(*made_once("one-model", _make_federation))


def _make_federation(folder: Path) -> tuple[Path, str]:
    import torch

    from ecgfl_cli.beats.beats import annotated_beats
    from ecgfl_cli.federation.coordinator.home import CoordinatorHome, load_signing_key
    from ecgfl_cli.federation.coordinator.initialise import make_coordinator
    from ecgfl_cli.models.architecture import architecture
    from ecgfl_cli.models.manifest import Manifest, SignedManifest, validity, weights_sha256
    from ecgfl_cli.models.packing import pack
    from ecgfl_cli.models.registry import Registry
    from ecgfl_cli.training.examples import examples_of
    from ecgfl_cli.training.local import TrainingPlan, train

    home = CoordinatorHome(folder / "coordinator")
    make_coordinator(home, "localhost")
    ecgnet = architecture("ecgnet")
    records = [synthesise(seed, 120, 360, pvc_share=0.2) for seed in range(60, 66)]
    examples = examples_of(
        [annotated_beats(record, record.leads[:1], ecgnet.window)[0] for record in records], ecgnet
    )
    torch.manual_seed(0)
    network = ecgnet.build()
    train(
        network, ecgnet, examples, TrainingPlan(epochs=8, learning_rate=1e-3, batch_size=64, seed=0)
    )
    digest = weights_sha256(pack(network))
    created, expires = validity(datetime.now(UTC))
    manifest = Manifest(
        version=f"ecgnet-0001-{digest[:8]}",
        architecture="ecgnet",
        sequence=1,
        run="20260101t000000z",
        round=1,
        rounds=1,
        parent=None,
        weights_sha256=digest,
        threshold=0.5,
        sites=2,
        examples=len(examples),
        parent_metrics=None,
        created=created,
        expires=expires,
        program="ecgfl 0",
    )
    key = load_signing_key(home)
    registry = Registry(home.models, key.public_key())
    registry.add(SignedManifest.sign(manifest, key), network, "a test")
    registry.promote(manifest.version)
    return home.root, manifest.version


@pytest.fixture
def modelled(home: Path, ecgfl: Callable[..., Ran], federation: Federation) -> Path:
    """The home of a site that has received the federation's model."""
    assert (
        ecgfl("init", "--site", "st-mary", "--federation", federation.root / "federation.json").code
        == 0
    )
    _receive(home, federation)
    return home


def _receive(root: Path, federation: Federation) -> None:
    """Let a site receive the federation's model, and use it."""
    from ecgfl_cli.models.federation_file import load_federation
    from ecgfl_cli.models.registry import Registry
    from ecgfl_cli.models.site_models import follow_roots, model_change, site_registry
    from ecgfl_cli.models.trust import read_roots
    from ecgfl_cli.site.home import Home

    home = Home(root)
    follow_roots(home, read_roots(federation.root / "roots.json", "-"))
    received = site_registry(home)
    made = Registry(federation.root / "models", load_federation(home.federation).signing_key)
    with model_change(home, received, "model-received", version=federation.version):
        received.add(
            made.entry(federation.version).signed, made.load(federation.version)[1], "a test"
        )
        received.promote(federation.version)
