"""The paths in a coordinator's home, and its signing key."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.site.private import require_private
from ecgfl_cli.site.private_keys import load_private_key


@dataclass(frozen=True)
class CoordinatorHome:
    """Paths in <home>/coordinator. Creating it does not access the disk.

    Attributes
    ----------
    root
        The folder <home>/coordinator.
    """

    root: Path

    @property
    def ca_certificate(self) -> Path:
        """Certificate of the CA, PEM."""
        return self.root / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Private key of the CA, PEM. The coordinator may keep it elsewhere."""
        return self.root / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """TLS certificate of the server, PEM."""
        return self.root / "server.crt"

    @property
    def server_key(self) -> Path:
        """Private TLS key of the server, PEM."""
        return self.root / "server.key"

    @property
    def signing_key(self) -> Path:
        """Private key that signs models and requests, Ed25519, PEM."""
        return self.root / "signing.key"

    @property
    def new_signing_key(self) -> Path:
        """The next signing key, while a rotation is in progress."""
        return self.root / "signing.key.new"

    @property
    def root_key(self) -> Path:
        """Private key that signs the root metadata, PEM. It may be kept elsewhere."""
        return self.root / "root.key"

    @property
    def roots(self) -> Path:
        """Every version of the root metadata, which names the signing keys."""
        return self.root / "roots.json"

    @property
    def federation(self) -> Path:
        """File that every site installs: server name, CA, public signing key."""
        return self.root / "federation.json"

    @property
    def plan(self) -> Path:
        """Plan of the runs, edited by hand."""
        return self.root / "federation.toml"

    @property
    def state(self) -> Path:
        """Live state of `serve`."""
        return self.root / "state.json"

    @property
    def reports(self) -> Path:
        """Folder of the runs' reports."""
        return self.root / "reports"

    @property
    def optimiser(self) -> Path:
        """Folder of the states of server optimisers."""
        return self.root / "optimiser"

    @property
    def sites(self) -> Path:
        """Folder of the enrolled sites' public keys."""
        return self.root / "sites"

    @property
    def models(self) -> Path:
        """Folder of the registry of global models."""
        return self.root / "models"

    @property
    def lock(self) -> Path:
        """Lock of the commands that change this home."""
        return self.root / "lock"

    @property
    def audit(self) -> Path:
        """Audit log."""
        return self.root / "audit.jsonl"

    @property
    def audit_lock(self) -> Path:
        """Lock of the audit log."""
        return self.root / "audit.lock"

    @property
    def audit_heads(self) -> Path:
        """Newest head of each site's audit log."""
        return self.root / "audit-heads.json"

    def require(self, needs_signing_key: bool = True) -> None:
        """Check that this is a usable coordinator's home.

        Parameters
        ----------
        needs_signing_key
            Whether the signing key must be there.

        Raises
        ------
        UsageError
            `ecgfl coordinator init` has not made it.
        UnusableInput
            A file is missing, or other users could change it.
        """
        if not self.federation.is_file():
            raise UsageError(
                f"{self.root} is not the home of a coordinator: {self.federation.name} is missing",
                "Run `ecgfl coordinator init --name HOSTNAME` first, or name the right folder with"
                " --home DIR",
            )
        require_private(self.root)
        if needs_signing_key and not self.signing_key.is_file():
            without = (
                "`ecgfl coordinator rotate` makes a new one, which the root key signs"
                if self.roots.is_file()
                else "this federation cannot continue (see docs/coordinator.md)"
            )
            raise UnusableInput(
                f"{self.signing_key}: missing",
                f"Restore it from your backup; without a backup, {without}",
            )


def load_signing_key(home: CoordinatorHome) -> ed25519.Ed25519PrivateKey:
    """Load the signing key.

    Raises
    ------
    UnusableInput
        The key is missing or broken, or its passphrase is missing or wrong.
    """
    key = load_private_key(home.signing_key, "Restore it from your backup")
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UnusableInput(
            f"{home.signing_key}: not an Ed25519 key", "Restore it from your backup"
        )
    return key
