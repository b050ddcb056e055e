"""The folders of a federation in tests: the coordinator's home and those of its sites."""

import contextlib
import io
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.app import run
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.models.federation_file import Federation, load_federation
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.site.home import Home

SITES = ("alice", "bob", "carol")

SMALL = {
    "architectures": '["beatnet", "ecgnet"]',
    "min_steps": "1",
    "min_training_patients": "1",
    "min_training_beats": "100",
    "min_held_out_patients": "1",
}
"""The policy of sites with three short recordings each, which the defaults leave out."""


def set_policy(home: Home, policy: str) -> None:
    """Write a site.toml with these lines of [policy], and the other ones of `SMALL`."""
    named = {line.partition("=")[0].strip() for line in policy.splitlines()}
    small = "".join(f"{name} = {value}\n" for name, value in SMALL.items() if name not in named)
    home.settings.write_text(f'[site]\nname = "{home.root.name}"\n[policy]\n{policy}\n{small}')


def change_policy(home: Home, **values: str) -> None:
    """Replace lines of a site.toml as `init` wrote it."""
    text = home.settings.read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    home.settings.write_text(text)


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


def copy_of(homes: Homes, folder: Path) -> Homes:
    """Copy all homes to an empty folder; the files that were ingested are left out."""
    shutil.copytree(
        homes.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("exports")
    )
    return Homes(folder)


def ecgfl(home: Path, *arguments: str) -> None:
    """A command in this process, for what the tests need beforehand."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as said,
    ):
        code = run(["--home", str(home), *arguments])
    assert code == 0, said.getvalue()
