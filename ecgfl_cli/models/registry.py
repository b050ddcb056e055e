"""models/: the versions, each with its weights and manifest, and which one is current."""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.file_names import is_device_name
from numpy.typing import NDArray
from pydantic import ValidationError

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.files import atomic_write_bytes, sync_folder
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import VERSION, Manifest, SignedManifest, check_weights
from ecgfl_cli.models.packing import pack, unpack
from ecgfl_cli.models.verdicts import Acceptance
from ecgfl_cli.printable import short_reason
from ecgfl_cli.schemas import first_fault, require_bounded

if TYPE_CHECKING:
    from torch import Tensor, nn

CURRENT = "current"
HISTORY = "history"
BEST = "best"
NO_VERSION = "-"
LONGEST_HISTORY = 100
LARGEST_MANIFEST = 1 << 20
LARGEST_WEIGHTS = 1 << 26
"""Largest sizes in bytes of a version's manifest and of its weights."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
RESERVED = frozenset((CURRENT, HISTORY, BEST))
"""Names that a version may not have, because they are files of the registry."""
BROKEN = "Restore this folder from your backup, or use another version: `ecgfl model use VERSION`"
MAKING, REMOVING = ".new-", ".old-"
"""Prefixes of the folder of a version while it is written, and while it is removed."""


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
        self._folder, self._key = folder, key

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
        if manifest.version in RESERVED or is_device_name(manifest.version):
            raise ModelRejected(
                f"a model with the reserved name '{manifest.version}'",
                "Do not use it; tell the coordinator",
            )
        place = self._folder / manifest.version
        if place.is_dir():
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
            making.replace(place)
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
        """Return the version that `predict` uses; None before there is one."""
        path = self._folder / CURRENT
        if not path.is_file():
            return None
        version = read_bounded(path, LARGEST_MANIFEST).decode("utf-8", "replace").strip()
        if not re.fullmatch(VERSION, version):
            raise ModelRejected(
                f"{path}: {version[:80]!r} is not a version",
                "Choose one: `ecgfl model use VERSION`",
            )
        return version

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
        if as_best:
            self._set_best(version)
        elif not (self._folder / BEST).is_file():
            self._set_best(self.current())
        try:
            before = self.current()
        except ModelRejected:
            before = version  # the file is damaged, so nothing is known of the version before
        if before != version:
            self._write_history([*self._history(), before])
        self._set_current(version)

    def best(self) -> str | None:
        """Return the best version accepted so far, or the last one that a person chose.

        Returns
        -------
        str or None
            None if it is not in this registry. The current version in registries of earlier
            versions of ecgfl, which did not record it.
        """
        path = self._folder / BEST
        if not path.is_file():
            return self.current()
        version = read_bounded(path, LARGEST_MANIFEST).decode("utf-8", "replace").strip()
        if version != NO_VERSION and not re.fullmatch(VERSION, version):
            raise ModelRejected(
                f"{path}: {version[:80]!r} is not a version",
                "Choose one: `ecgfl model use VERSION`",
            )
        return None if version == NO_VERSION else version

    def _set_best(self, version: str | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(self._folder / BEST, f"{version or NO_VERSION}\n".encode())

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
        """
        *older, version = self._used_before()
        self._set_best(version)
        self._set_current(version)
        self._write_history(older)
        return version

    def _used_before(self) -> list[str | None]:
        """Return the versions used before the current one, oldest first.

        Versions that were removed do not count, and neither does the current one, which a kill
        between two writes may have left in the history.
        """
        current, present = self.current(), {*self.versions(), None}
        used = [version for version in self._history() if version in present]
        while used and used[-1] == current:
            used.pop()
        if not used:
            raise UsageError(
                f"{self._folder / HISTORY}: no version was used before the current one "
                f"({current or 'the starter model'})",
                "`ecgfl model list` shows the versions; choose one with `ecgfl model use VERSION`",
            )
        return used

    def _history(self) -> list[str | None]:
        path = self._folder / HISTORY
        lines = (
            read_bounded(path, LARGEST_MANIFEST).decode("utf-8", "replace").split()
            if path.is_file()
            else []
        )
        return [None if line == NO_VERSION else line for line in lines]

    def _write_history(self, used: list[str | None]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{version or NO_VERSION}\n" for version in used[-LONGEST_HISTORY:])
        atomic_write_bytes(self._folder / HISTORY, lines.encode())

    def _set_current(self, version: str | None) -> None:
        if version is None:
            (self._folder / CURRENT).unlink(missing_ok=True)
        else:
            self.entry(version)
            atomic_write_bytes(self._folder / CURRENT, f"{version}\n".encode())

    def prune(self, keep: int) -> list[str]:
        """Remove old versions and return their names.

        The newest `keep`, the current, the previously used and the best version stay.
        """
        kept = {self.current(), self.best(), *self._history()[-1:]}
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


def network_of(manifest: Manifest, vector: NDArray[np.float32]) -> "nn.Module":
    """Return the network with a received weight vector after checking its hash and shape.

    Raises
    ------
    ModelRejected
        The hash, the shape or the architecture is wrong.
    """
    check_weights(manifest, vector)
    network = _built(manifest)
    unpack(network, vector)
    return network


def network_with(manifest: Manifest, tensors: "dict[str, Tensor]") -> "nn.Module":
    """Return the network with named tensors, ready to predict, after checking their hash.

    Raises
    ------
    ModelRejected
        The hash or the architecture is wrong.
    RuntimeError
        The tensors do not fit the architecture.
    """
    network = _built(manifest)
    network.load_state_dict(tensors)
    check_weights(manifest, pack(network))
    network.eval()
    return network


def _built(manifest: Manifest) -> "nn.Module":
    try:
        return architecture(manifest.architecture).build()
    except UsageError as error:
        raise ModelRejected(
            f"model {manifest.version}: this ecgfl has no architecture '{manifest.architecture}'",
            "Install the coordinator's version",
        ) from error
