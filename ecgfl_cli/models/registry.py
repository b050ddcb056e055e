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
from numpy.typing import NDArray
from pydantic import ValidationError

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import VERSION, Manifest, SignedManifest, check_weights
from ecgfl_cli.models.packing import pack, unpack

if TYPE_CHECKING:
    from torch import nn

CURRENT = "current"
WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """One version in the registry. received : where it came from and when."""

    signed: SignedManifest
    manifest: Manifest
    received: dict[str, Any]


class Registry:
    """The model versions of a site or of a coordinator. Every change is one rename.

    key : what each version's signature is checked with, whenever it is looked at; with None no version is accepted.
    """

    def __init__(self, folder: Path, key: ed25519.Ed25519PublicKey | None) -> None:
        self._folder, self._key = folder, key

    def add(self, signed: SignedManifest, network: "nn.Module", source: str) -> None:
        """Keep a version whose weights the caller has checked. The same version again changes nothing.

        Raises `ModelRejected` when its signature is wrong, or when the version is there already with another content.
        """
        from safetensors.torch import save

        manifest = self._opened(signed)
        place = self._folder / manifest.version
        if place.is_dir():
            if self.entry(manifest.version).manifest != manifest:
                raise ModelRejected(
                    f"model {manifest.version} is here already with another content",
                    "Tell the coordinator: a version never changes",
                )
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        received = {"source": source, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        making = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        atomic_write_bytes(making / WEIGHTS, save({name: value.contiguous() for name, value in network.state_dict().items()}))
        text = json.dumps({**signed.model_dump(), "received": received}, indent=1)
        atomic_write_bytes(making / MANIFEST, text.encode())
        making.replace(place)

    def versions(self) -> list[str]:
        """The names of all versions, those whose signature does not hold included."""
        return sorted(folder.name for folder in self._folder.glob("*") if folder.is_dir() and folder.name[0] != ".")

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
            raise UsageError(f"no model version '{version}' in {self._folder}", "`ecgfl model list` shows those that are there")
        try:
            content = json.loads(path.read_bytes())
            received = content.pop("received")
            signed = SignedManifest.model_validate(content)
        except (ValueError, KeyError, AttributeError, ValidationError) as error:
            raise ModelRejected(f"{path}: broken: {error}", "Use another version: `ecgfl model use VERSION`") from error
        manifest = self._opened(signed)
        if manifest.version != version:
            raise ModelRejected(f"{path}: the manifest of {manifest.version}", "Somebody moved it; use another version")
        return Entry(signed, manifest, received)

    def load(self, version: str) -> "tuple[Manifest, nn.Module]":
        """A version's manifest and network, after its hash was checked. Raises `ModelRejected`."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        manifest = self.entry(version).manifest
        network = _built(manifest)
        path = self._folder / version / WEIGHTS
        try:
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise ModelRejected(
                f"{path}: not the weights of a {manifest.architecture}: {error}", "Use another version: `ecgfl model use VERSION`"
            ) from error
        check_weights(manifest, pack(network))
        network.eval()
        return manifest, network

    def current(self) -> str | None:
        """The version that `predict` uses, None before the first."""
        path = self._folder / CURRENT
        if not path.is_file():
            return None
        version = path.read_text(encoding="utf-8", errors="replace").strip()
        if not re.fullmatch(VERSION, version):
            raise ModelRejected(f"{path}: {version[:80]!r} is no version", "Choose one: `ecgfl model use VERSION`")
        return version

    def _opened(self, signed: SignedManifest) -> Manifest:
        if self._key is None:
            raise ModelRejected(
                f"{self._folder}: nothing to check signatures with", "Run `ecgfl init --site NAME --federation federation.json`"
            )
        return signed.open(self._key)

    def promote(self, version: str) -> None:
        self.entry(version)
        atomic_write_bytes(self._folder / CURRENT, f"{version}\n".encode())

    def promote_none(self) -> None:
        """No version is the current one, as before the first."""
        (self._folder / CURRENT).unlink(missing_ok=True)

    def prune(self, keep: int) -> list[str]:
        """Remove all but the last `keep` versions and the current one; returns the removed."""
        current = self.current()
        gone = [entry.manifest.version for entry in self.entries()[:-keep] if entry.manifest.version != current]
        for version in gone:
            shutil.rmtree(self._folder / version)
        return gone


def network_of(manifest: Manifest, vector: NDArray[np.float32]) -> "nn.Module":
    """The network that a received vector makes, after its hash and shape were checked. Raises `ModelRejected`."""
    check_weights(manifest, vector)
    network = _built(manifest)
    unpack(network, vector)
    return network


def _built(manifest: Manifest) -> "nn.Module":
    try:
        return architecture(manifest.architecture).build()
    except UsageError as error:
        raise ModelRejected(
            f"model {manifest.version}: this ecgfl has no architecture '{manifest.architecture}'",
            "Install the coordinator's version",
        ) from error
