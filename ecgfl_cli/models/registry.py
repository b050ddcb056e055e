"""The folder models/ of a home: the versions, each with its weights and its manifest.

`selection` states which of them is current.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from ecgfl_adapters.bounded import read_bounded
from ecgfl_adapters.file_names import is_device_name

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.entries import Entry, parsed_entry
from ecgfl_cli.models.manifest import VERSION, Manifest, SignedManifest, Verifier
from ecgfl_cli.models.model_files import Change, HighWaterMark, ModelFiles
from ecgfl_cli.models.networks import network_with
from ecgfl_cli.models.selection import SELECTION_FILES, Selection

if TYPE_CHECKING:
    from torch import nn

LARGEST_MANIFEST = 1 << 20
"""Largest size of a manifest in bytes."""

LARGEST_WEIGHTS = 1 << 26
"""Largest size of the weights in bytes."""

WEIGHTS = "model.safetensors"
MANIFEST = "manifest.json"
"""Files of a version."""

PRUNED = "pruned.jsonl"
"""File with the manifests of versions whose weights are not here, one a line."""

LARGEST_PRUNED = 1 << 28
"""Largest size of that file in bytes."""

BROKEN = (
    "Restore this folder from your backup; or, at a site, run `ecgfl model repair`, which moves it "
    "out of the models"
)


class Registry:
    """The model versions of a site or of a coordinator.

    A kill leaves each change done or not begun. To make changes, hold the lock of the home.

    Parameters
    ----------
    folder : Path or ModelFiles
        Folder of the versions.
    key : Verifier or None
        Key or keys with which the signature of a version is checked whenever it is read. With
        None, no version is accepted.
    """

    def __init__(self, folder: Path | ModelFiles, key: Verifier | None) -> None:
        self._files = folder if isinstance(folder, ModelFiles) else ModelFiles(folder)
        self._folder = self._files.folder
        self._key = key
        self._selection = Selection(self._folder)
        self._marks: dict[tuple[str, int, int, int], HighWaterMark] = {}

    def require_intact(self, but: str | None = None) -> None:
        """Check that only ecgfl changed the folder, if this registry is sealed.

        Parameters
        ----------
        but : str or None
            A version that may be damaged, because it is about to be received again.

        Raises
        ------
        ModelRejected
            A file was changed, added or removed.
        """
        self._files.require_intact(but)

    def change_number(self) -> int:
        """Return the number of the newest change, for the audit log; 0 if it is not recorded."""
        return self._files.number()

    def add(self, signed: SignedManifest, network: "nn.Module", source: str) -> None:
        """Add a version whose weights the caller has checked.

        Adding it again changes nothing, unless a file is damaged, which is then written again.

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
            version or its number already exists with other content.
        """
        from safetensors.torch import save

        manifest = self._opened(signed)
        if manifest.version in SELECTION_FILES or is_device_name(manifest.version):
            raise ModelRejected(
                f"a model with the reserved name '{manifest.version}'",
                "Do not use it; tell the coordinator",
            )
        self.require_new_or_same(signed, manifest)
        weights = save({name: value.contiguous() for name, value in network.state_dict().items()})
        stored = self._stored(manifest.version)
        if stored is not None and self._has(manifest.version, WEIGHTS, weights):
            return
        received = {"source": source, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        new = Entry(signed, manifest, received)
        folder = {WEIGHTS: weights, MANIFEST: stored or new.to_bytes()}
        mark = self._files.mark()
        if mark is None or mark.sequence <= manifest.sequence:
            mark = new.mark
        self._files.apply(Change(folders={manifest.version: folder}, mark=mark))

    def require_new_or_same(self, signed: SignedManifest, manifest: Manifest) -> None:
        """Raise `ModelRejected` if the version or its number is known with another manifest."""
        mark = self._files.mark()
        known = [*self._known_marks(), *(entry.mark for entry in self.pruned().values())]
        for other in (*known, *(() if mark is None else (mark,))):
            if other.manifest_sha256 in (None, signed.sha256):
                continue
            if other.version == manifest.version:
                raise ModelRejected(
                    f"model {manifest.version} already exists with other content",
                    "Tell the coordinator: a version never changes",
                )
            if other.sequence == manifest.sequence:
                raise ModelRejected(
                    f"model {manifest.version} has the number {manifest.sequence}, which model "
                    f"{other.version} has already",
                    "Tell the coordinator: it signed two models with one number",
                )

    def _known_marks(self) -> list[HighWaterMark]:
        """Return the versions with a valid signature.

        A coordinator has thousands of versions, and this is called for each new one. Therefore a
        manifest is read again only if its file was replaced.
        """
        marks = {}
        for version in self.versions():
            try:
                status = (self._folder / version / MANIFEST).stat()
                key = (version, status.st_ino, status.st_size, status.st_mtime_ns)
                marks[key] = self._marks.get(key) or self.entry(version).mark
            except (OSError, ModelRejected, UsageError):
                continue  # `ecgfl model verify` names it
        self._marks = marks
        return list(marks.values())

    def _stored(self, version: str) -> bytes | None:
        """Return the manifest file of a version; None if it is missing or damaged."""
        try:
            self.entry(version)
        except (ModelRejected, UsageError):
            return None
        if not self._files.trusts(f"{version}/{MANIFEST}"):
            return None
        return read_bounded(self._folder / version / MANIFEST, LARGEST_MANIFEST)

    def _has(self, version: str, name: str, content: bytes) -> bool:
        """Whether a version has exactly its two files, this one with this content."""
        folder = self._folder / version
        if {path.name for path in folder.iterdir()} != {WEIGHTS, MANIFEST}:
            return False
        try:
            return read_bounded(folder / name, LARGEST_WEIGHTS) == content
        except OSError:
            return False

    def note(self, signed: Sequence[SignedManifest], source: str) -> None:
        """Keep the manifests of models without their weights, so that a model can be traced.

        Manifests that are known already are left out.

        Parameters
        ----------
        signed : sequence of SignedManifest
            The manifests.
        source : str
            Where they come from.

        Raises
        ------
        ModelRejected
            A signature is wrong, or a version or number is known with another manifest.
        """
        known = self.manifests()
        received = {"source": source, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        new = [
            Entry(each, manifest, received)
            for each in signed
            if (manifest := self._opened(each)).version not in known
        ]
        for entry in new:
            self.require_new_or_same(entry.signed, entry.manifest)
        if new:
            self._files.apply(Change(files={PRUNED: self._pruned_and(new)}))

    def _pruned_and(self, entries: Sequence[Entry]) -> bytes:
        """Return the content of the file `PRUNED` with further entries."""
        known = self.pruned()
        lines = read_bounded(self._folder / PRUNED, LARGEST_PRUNED) if known else b""
        return lines + b"".join(
            entry.to_line() for entry in entries if entry.manifest.version not in known
        )

    def high_water_mark(self) -> HighWaterMark | None:
        """Return the model with the highest number that was received, also if it is lost now."""
        return self._files.mark() or self.newest_mark()

    def newest_mark(self) -> HighWaterMark | None:
        """Return the model with the highest number that is here."""
        marks = [entry.mark for entry in self.entries()]
        return max(marks, key=lambda mark: mark.sequence, default=None)

    def manifests(self) -> dict[str, Entry]:
        """Return the readable manifests by version, also of versions without weights."""
        return {
            **self.pruned(),
            **{entry.manifest.version: entry for entry in self.entries()},
        }

    def pruned(self) -> dict[str, Entry]:
        """Return the manifests of versions whose weights were removed or never kept.

        Their signatures were verified when they came, and are not verified again: the key of an
        old one may be withdrawn, and the hashes in the newer manifests name it.

        Raises
        ------
        ModelRejected
            Their file is damaged.
        """
        path = self._folder / PRUNED
        if not path.is_file():
            return {}
        entries = {}
        try:
            for line in read_bounded(path, LARGEST_PRUNED).splitlines():
                entry = self._parsed(line, is_verified=False)
                entries[entry.manifest.version] = entry
        except OSError as error:
            raise ModelRejected(f"{path}: {error}", BROKEN) from error
        except ValueError as error:
            raise ModelRejected(f"{path}: broken: {error}", BROKEN) from error
        return entries

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
            entry = self._parsed(read_bounded(path, LARGEST_MANIFEST))
        except (OSError, ValueError) as error:
            raise ModelRejected(f"{path}: broken: {error}", BROKEN) from error
        if entry.manifest.version != version:
            raise ModelRejected(
                f"{path}: this is the manifest of {entry.manifest.version}",
                "The folder was renamed; use another version",
            )
        return entry

    def _parsed(self, text: bytes, is_verified: bool = True) -> Entry:
        """Parse a manifest file; see `parsed_entry`."""
        return parsed_entry(text, self._opened if is_verified else SignedManifest.content)

    def judged(self, version: str, acceptance: dict[str, Any]) -> None:
        """Store the result of the site's test of a version."""
        self._files.apply(Change(files=self._judgement(version, acceptance)))

    def sign_again(self, key: ed25519.Ed25519PrivateKey) -> None:
        """Replace the signature of every version; the manifests do not change."""
        for entry in self.entries():
            signature = base64.b64encode(key.sign(entry.signed.manifest.encode())).decode()
            signed = entry.signed.model_copy(update={"signature": signature})
            content = replace(entry, signed=signed).to_bytes()
            self._files.apply(Change(files={f"{entry.manifest.version}/{MANIFEST}": content}))

    def _judgement(self, version: str, acceptance: dict[str, Any]) -> Mapping[str, bytes]:
        entry = self.entry(version)
        content = replace(entry, acceptance=acceptance).to_bytes()
        return {f"{version}/{MANIFEST}": content}

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
                BROKEN,
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
        self._files.apply(Change(files=self._selection.promoted(version, as_best)))

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
        self._files.apply(Change(files=self._selection.rolled_back(used)))
        return used[-1]

    def _used_before(self) -> list[str | None]:
        return self._selection.used_before({*self.versions(), None})

    def prune(self, keep: int) -> list[str]:
        """Remove the weights of old versions and return the versions.

        The newest `keep`, the current, the previously used and the best version stay. The
        manifests of the others go to the file `PRUNED`, so that each version can be traced back to
        the first one.
        """
        kept = {self.current(), self.best(), *self._selection.history()[-1:]}
        old = [entry for entry in self.entries()[:-keep] if entry.manifest.version not in kept]
        if not old:
            return []
        versions = [entry.manifest.version for entry in old]
        self._files.apply(Change(files={PRUNED: self._pruned_and(old)}, removed=versions))
        return [version for version in versions if not (self._folder / version).exists()]
