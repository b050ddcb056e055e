"""Where everything of one site lies."""

from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import UsageError


@dataclass(frozen=True)
class Home:
    """The layout of a home folder; it touches nothing."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "site.toml"

    @property
    def federation(self) -> Path:
        return self.root / "federation.json"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def node_key(self) -> Path:
        return self.keys / "node"

    @property
    def node_public_key(self) -> Path:
        return self.keys / "node.pub"

    @property
    def secret(self) -> Path:
        return self.keys / "secret"

    @property
    def catalogue(self) -> Path:
        return self.root / "catalogue.sqlite"

    @property
    def records(self) -> Path:
        return self.root / "records"

    @property
    def beats(self) -> Path:
        return self.root / "beats"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def audit(self) -> Path:
        return self.root / "audit.jsonl"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def coordinator(self) -> Path:
        return self.root / "coordinator"

    def require_site(self) -> None:
        """Raises `UsageError` when `ecgfl init` has not made this home."""
        if not self.settings.is_file():
            raise UsageError(
                f"{self.root} is not the home of a site: {self.settings.name} is missing",
                "Run `ecgfl init --site NAME` first, or name the right folder with --home DIR or ECGFL_HOME",
            )
