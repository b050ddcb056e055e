"""The folders of a federation in tests: the coordinator's home and those of its sites."""

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.app import run
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.federation_file import Federation, load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.site.home import Home

SITES = ("alice", "bob", "carol")


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
