"""The layout of a site's home folder."""

from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import UsageError


@dataclass(frozen=True)
class Home:
    """The paths in a home folder. Nothing is read or written.

    Attributes
    ----------
    root : Path
        The home folder.
    """

    root: Path

    @property
    def settings(self) -> Path:
        """Settings and policy of the site."""
        return self.root / "site.toml"

    @property
    def federation(self) -> Path:
        """The coordinator's name, certificate authority and signing key."""
        return self.root / "federation.json"

    @property
    def roots(self) -> Path:
        """The root metadata, from which the coordinator's present signing key follows."""
        return self.root / "roots.json"

    @property
    def keys(self) -> Path:
        """Folder of the keys."""
        return self.root / "keys"

    @property
    def node_key(self) -> Path:
        """Private key with which this site authenticates."""
        return self.keys / "node"

    @property
    def node_public_key(self) -> Path:
        """Public key that the coordinator enrols."""
        return self.keys / "node.pub"

    @property
    def secret(self) -> Path:
        """Secret that keys the pseudonyms."""
        return self.keys / "secret"

    @property
    def catalogue(self) -> Path:
        """Catalogue of the recordings."""
        return self.root / "catalogue.sqlite"

    @property
    def records(self) -> Path:
        """Folder of the de-identified signals and labels."""
        return self.root / "records"

    @property
    def beats(self) -> Path:
        """Folder of the beats, which are derived from the records."""
        return self.root / "beats"

    @property
    def models(self) -> Path:
        """Folder of the model versions."""
        return self.root / "models"

    @property
    def audit(self) -> Path:
        """Audit log."""
        return self.root / "audit.jsonl"

    @property
    def privacy(self) -> Path:
        """Privacy ledger."""
        return self.root / "privacy.jsonl"

    @property
    def lock(self) -> Path:
        """File that one ecgfl at a time locks."""
        return self.root / "lock"

    @property
    def coordinator(self) -> Path:
        """Home of a coordinator on the same machine."""
        return self.root / "coordinator"

    def require_site(self) -> None:
        """Raise `UsageError` if this home was not made by `ecgfl init`."""
        if not self.settings.is_file():
            raise UsageError(
                f"{self.root} is not the home of a site: {self.settings.name} is missing",
                "Run `ecgfl init --site NAME` first, or give the right folder with --home DIR or "
                "ECGFL_HOME",
            )
