"""models/<version>/{model.safetensors, manifest.json} and the name of the current one."""

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
"""What the folder of a version is called while it is being written, and while it is being removed."""


@dataclass(frozen=True)
class Entry:
    """One version in the registry. received : where it came from and when. acceptance : what came of the site's own test of it,
    None for one that was not tested."""

    signed: SignedManifest
    manifest: Manifest
    received: dict[str, Any]
    acceptance: dict[str, Any] | None = None

    @property
    def is_rejected(self) -> bool:
        return self.acceptance is not None and not self.acceptance.get("accepted")


class Registry:
    """The model versions of a site or of a coordinator. Every change is one rename; whoever makes one holds the home's lock.

    key : what each version's signature is checked with, whenever it is looked at; with None no version is accepted.
    """

    def __init__(self, folder: Path, key: ed25519.Ed25519PublicKey | None) -> None:
        self._folder, self._key = folder, key

    def add(self, signed: SignedManifest, network: "nn.Module", source: str) -> None:
        """Keep a version whose weights the caller has checked. The same version again changes nothing.

        Raises `ModelRejected` if its signature is wrong, its name is reserved (by the registry or by Windows), or the version
        already exists with other content.
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
                    f"model {manifest.version} is here already with another content",
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
        """The names of all versions, those whose signature does not hold included."""
        return sorted(
            folder.name
            for folder in self._folder.glob("*")
            if folder.is_dir() and folder.name[0] != "."
        )

    def entries(self) -> list[Entry]:
        """The versions whose signature holds, oldest first."""
        entries = []
        for version in self.versions():
            try:
                entries.append(self.entry(version))
            except (ModelRejected, UsageError):
                continue  # `ecgfl model verify` names it
        return sorted(entries, key=lambda entry: entry.manifest.sequence)

    def entry(self, version: str) -> Entry:
        """Raises `UsageError` when there is no such version, `ModelRejected` when its manifest or signature is wrong."""
        path = self._folder / version / MANIFEST
        if not re.fullmatch(VERSION, version) or not path.is_file():
            raise UsageError(
                f"no model version '{version}' in {self._folder}",
                "`ecgfl model list` shows those that are there",
            )
        try:
            content = json.loads(read_bounded(path, LARGEST_MANIFEST))
            require_bounded(content)
            received, acceptance = content.pop("received"), content.pop("acceptance", None)
            if not isinstance(received, dict):
                raise ValueError("received is no object")
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
                f"{path}: the manifest of {manifest.version}",
                "Somebody moved it; use another version",
            )
        return Entry(signed, manifest, received, acceptance)

    def judged(self, version: str, acceptance: dict[str, Any]) -> None:
        """Write down what came of the site's own test of a version."""
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
        """A version's manifest and network, after its hash was checked. Raises `ModelRejected`."""
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
        """The version that `predict` uses, None before the first."""
        path = self._folder / CURRENT
        if not path.is_file():
            return None
        version = read_bounded(path, LARGEST_MANIFEST).decode("utf-8", "replace").strip()
        if not re.fullmatch(VERSION, version):
            raise ModelRejected(
                f"{path}: {version[:80]!r} is no version", "Choose one: `ecgfl model use VERSION`"
            )
        return version

    def _opened(self, signed: SignedManifest) -> Manifest:
        if self._key is None:
            raise ModelRejected(
                f"{self._folder}: nothing to check signatures with",
                "Run `ecgfl init --site NAME --federation federation.json`",
            )
        return signed.open(self._key)

    def promote(self, version: str | None, as_best: bool = True) -> None:
        """Make a version the current one; None makes no version current. `roll_back` returns to the previous one.

        as_best : whether new versions are compared with this one from now on; otherwise the best version does not change.
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
            before = version  # what the file says was never a version
        if before != version:
            self._write_history([*self._history(), before])
        self._set_current(version)

    def best(self) -> str | None:
        """Return the best version accepted so far, or the last one that a person chose; None if it is not in this registry.

        In a registry from before this was recorded, it is the current version.
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
        """The version used before the current one, None where there was none yet.

        Raises `UsageError` when nothing was used before, as far as is known.
        """
        return self._used_before()[-1]

    def roll_back(self) -> str | None:
        """Make the version used before the current one again, and return it. The next time it is the one before that."""
        *older, version = self._used_before()
        self._set_best(version)
        self._set_current(version)
        self._write_history(older)
        return version

    def _used_before(self) -> list[str | None]:
        """Oldest first; what a kill between two writes left twice counts once, and what was removed since does not count."""
        used, current, there = self._history(), self.current(), {*self.versions(), None}
        used = [version for version in used if version in there]
        while used and used[-1] == current:
            used.pop()
        if not used:
            raise UsageError(
                f"{self._folder / HISTORY}: no version was used before the current one ({current or 'the starter model'})",
                "`ecgfl model list` shows what is there; choose with `ecgfl model use VERSION`",
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
        """Remove old versions and return them. The last `keep`, the current, the previously used and the best version stay."""
        kept = {self.current(), self.best(), *self._history()[-1:]}
        gone = [
            entry.manifest.version
            for entry in self.entries()[:-keep]
            if entry.manifest.version not in kept
        ]
        removed = [version for version in gone if self._put_away(version)]
        self._tidy()
        return removed

    def _put_away(self, version: str) -> bool:
        """In one step, so that a kill leaves no half version. Not where Windows lets nobody, since another program reads it."""
        try:
            (self._folder / version).replace(self._folder / f"{REMOVING}{version}")
        except OSError:
            return False
        return True

    def _tidy(self) -> None:
        """Remove what is to be removed, and what an ecgfl that was killed left: this one holds the home's lock."""
        for prefix in (MAKING, REMOVING):
            for left_over in self._folder.glob(f"{prefix}*"):
                shutil.rmtree(
                    left_over, ignore_errors=True
                )  # what cannot be removed now is at the next change


def network_of(manifest: Manifest, vector: NDArray[np.float32]) -> "nn.Module":
    """The network that a received vector makes, after its hash and shape were checked. Raises `ModelRejected`."""
    check_weights(manifest, vector)
    network = _built(manifest)
    unpack(network, vector)
    return network


def network_with(manifest: Manifest, tensors: "dict[str, Tensor]") -> "nn.Module":
    """The network that named tensors make, ready to predict, after their hash was checked.

    Raises `ModelRejected`, and `RuntimeError` when they do not fit its architecture.
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
