"""The folder models/ of a home: the versions, each with its weights and its manifest.

`selection` states which of them is current.
"""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.file_names import is_device_name
from pydantic import ValidationError

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.files import atomic_write_bytes, sync_folder
from ecgfl_cli.models.manifest import VERSION, Manifest, SignedManifest
from ecgfl_cli.models.networks import network_with
from ecgfl_cli.models.selection import SELECTION_FILES, Selection
from ecgfl_cli.models.verdicts import Acceptance
from ecgfl_cli.printable import short_reason
from ecgfl_cli.schemas import first_fault, require_bounded

if TYPE_CHECKING:
    from torch import nn

LARGEST_MANIFEST = 1 << 20
"""Largest size of a manifest in bytes."""

LARGEST_WEIGHTS = 1 << 26
"""Largest size of the weights in bytes."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
"""Files of a version."""

BROKEN = "Restore this folder from your backup, or use another version: `ecgfl model use VERSION`"

MAKING = ".new-"
"""Prefix of the folder of a version while it is written."""

REMOVING = ".old-"
"""Prefix of the folder of a version while it is removed."""


@dataclass(frozen=True)
class Entry:
    """A version in the registry.

    Attributes
    ----------
    signed : SignedManifest
        The manifest as it was received.
    manifest : Manifest
        The manifest.
    received : dict
        Where the version came from, and when.
    acceptance : dict or None
        Result of the site's test of it; None for a version that was not tested.
    """

    signed: SignedManifest
    manifest: Manifest
    received: dict[str, Any]
    acceptance: dict[str, Any] | None = None

    @property
    def is_rejected(self) -> bool:
        """Whether the site's test rejected it."""
        return self.acceptance is not None and not self.acceptance.get("accepted")


class Registry:
    """The model versions of a site or of a coordinator.

    Every change is one rename. To make changes, hold the lock of the home.

    Parameters
    ----------
    folder : Path
        Folder of the versions.
    key : Ed25519PublicKey or None
        Key with which the signature of a version is checked whenever it is read. With None, no
        version is accepted.
    """

    def __init__(self, folder: Path, key: ed25519.Ed25519PublicKey | None) -> None:
        self._folder = folder
        self._key = key
        self._selection = Selection(folder)

    def add(self, signed: SignedManifest, network: "nn.Module", source: str) -> None:
        """Add a version whose weights the caller has checked. Adding it again changes nothing.

        Parameters
        ----------
        signed : SignedManifest
            Its manifest.
        network : torch.nn.Module
            Its network.
        source : str
            Where it comes from.

        Raises
        ------
        ModelRejected
            The signature is wrong, the name is reserved (by the registry or by Windows), or the
            version already exists with other content.
        """
        from safetensors.torch import save

        manifest = self._opened(signed)
        if manifest.version in SELECTION_FILES or is_device_name(manifest.version):
            raise ModelRejected(
                f"a model with the reserved name '{manifest.version}'",
                "Do not use it; tell the coordinator",
            )
        folder = self._folder / manifest.version
        if folder.is_dir():
            if self.entry(manifest.version).manifest != manifest:
                raise ModelRejected(
                    f"model {manifest.version} already exists with other content",
                    "Tell the coordinator: a version never changes",
                )
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._tidy()
        received = {"source": source, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        text = json.dumps({**signed.model_dump(), "received": received}, indent=1)
        making = Path(tempfile.mkdtemp(prefix=MAKING, dir=self._folder))
        try:
            weights = save(
                {name: value.contiguous() for name, value in network.state_dict().items()}
            )
            atomic_write_bytes(making / WEIGHTS, weights)
            atomic_write_bytes(making / MANIFEST, text.encode())
            making.replace(folder)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
        sync_folder(self._folder)

    def versions(self) -> list[str]:
        """Return the names of all versions, also of those with a wrong signature."""
        return sorted(
            folder.name
            for folder in self._folder.glob("*")
            if folder.is_dir() and folder.name[0] != "."
        )

    def entries(self) -> list[Entry]:
        """Return the versions with a valid signature, oldest first."""
        entries = []
        for version in self.versions():
            try:
                entries.append(self.entry(version))
            except (ModelRejected, UsageError):
                continue  # `ecgfl model verify` names it
        return sorted(entries, key=lambda entry: entry.manifest.sequence)

    def entry(self, version: str) -> Entry:
        """Return a version.

        Raises
        ------
        UsageError
            There is no such version.
        ModelRejected
            Its manifest or signature is wrong.
        """
        path = self._folder / version / MANIFEST
        if not re.fullmatch(VERSION, version) or not path.is_file():
            raise UsageError(
                f"no model version '{version}' in {self._folder}",
                "`ecgfl model list` shows the versions",
            )
        try:
            content = json.loads(read_bounded(path, LARGEST_MANIFEST))
            require_bounded(content)
            received, acceptance = content.pop("received"), content.pop("acceptance", None)
            if not isinstance(received, dict):
                raise ValueError("received is not an object")
            if acceptance is not None:
                Acceptance.model_validate(acceptance)
            signed = SignedManifest.model_validate(content)
        except ValidationError as error:
            fault = first_fault(error)
            field = f"{short_reason(fault.field)}: " if fault.field else ""
            raise ModelRejected(
                f"{path}: broken: {error.title}: {field}{fault.reason}", BROKEN
            ) from error
        except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise ModelRejected(f"{path}: broken: {error}", BROKEN) from error
        manifest = self._opened(signed)
        if manifest.version != version:
            raise ModelRejected(
                f"{path}: this is the manifest of {manifest.version}",
                "The folder was renamed; use another version",
            )
        return Entry(signed, manifest, received, acceptance)

    def judged(self, version: str, acceptance: dict[str, Any]) -> None:
        """Store the result of the site's test of a version."""
        entry = self.entry(version)
        content = {
            **entry.signed.model_dump(),
            "received": entry.received,
            "acceptance": acceptance,
        }
        atomic_write_bytes(
            self._folder / version / MANIFEST, json.dumps(content, indent=1).encode()
        )

    def load(self, version: str) -> "tuple[Manifest, nn.Module]":
        """Return the manifest and the network of a version after checking its hash.

        Raises
        ------
        UsageError
            There is no such version.
        ModelRejected
            The version is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        manifest = self.entry(version).manifest
        path = self._folder / version / WEIGHTS
        try:
            return manifest, network_with(manifest, load(read_bounded(path, LARGEST_WEIGHTS)))
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
            raise ModelRejected(
                f"{path}: not the weights of a {manifest.architecture}: {error}",
                "Use another version: `ecgfl model use VERSION`",
            ) from error

    def current(self) -> str | None:
        """Return the version that `predict` uses; see `Selection.current`."""
        return self._selection.current()

    def best(self) -> str | None:
        """Return the best version accepted so far; see `Selection.best`."""
        return self._selection.best()

    def _opened(self, signed: SignedManifest) -> Manifest:
        if self._key is None:
            raise ModelRejected(
                f"{self._folder}: there is no key to check signatures with",
                "Run `ecgfl init --site NAME --federation federation.json`",
            )
        return signed.open(self._key)

    def promote(self, version: str | None, as_best: bool = True) -> None:
        """Make a version current. `roll_back` returns to the previous one.

        Parameters
        ----------
        version : str or None
            The version; None for no version.
        as_best : bool
            Whether new versions are compared with this one from now on. Otherwise the best version
            does not change.
        """
        if version is not None:
            self.entry(version)
        self._selection.promote(version, as_best)

    def previous(self) -> str | None:
        """Return the version used before the current one; None if that was the starter model.

        Raises
        ------
        UsageError
            No version is known to have been used before.
        """
        return self._used_before()[-1]

    def roll_back(self) -> str | None:
        """Make the previously used version current, and return it.

        Calling it again goes one version further back.

        Raises
        ------
        UsageError
            No version is known to have been used before.
        """
        used = self._used_before()
        if used[-1] is not None:
            self.entry(used[-1])
        self._selection.roll_back(used)
        return used[-1]

    def _used_before(self) -> list[str | None]:
        return self._selection.used_before({*self.versions(), None})

    def prune(self, keep: int) -> list[str]:
        """Remove old versions and return their names.

        The newest `keep`, the current, the previously used and the best version stay.
        """
        kept = {self.current(), self.best(), *self._selection.history()[-1:]}
        old = [
            entry.manifest.version
            for entry in self.entries()[:-keep]
            if entry.manifest.version not in kept
        ]
        removed = [version for version in old if self._put_away(version)]
        self._tidy()
        return removed

    def _put_away(self, version: str) -> bool:
        """Rename a version for removal, so that a kill leaves no partial version.

        Returns
        -------
        bool
            False on Windows while another program reads it.
        """
        try:
            (self._folder / version).replace(self._folder / f"{REMOVING}{version}")
        except OSError:
            return False
        return True

    def _tidy(self) -> None:
        """Remove the folders of renamed versions, and those that a killed ecgfl left."""
        for prefix in (MAKING, REMOVING):
            for left_over in self._folder.glob(f"{prefix}*"):
                shutil.rmtree(left_over, ignore_errors=True)  # else with the next change
