"""The files of a registry, and changes of them that a kill leaves whole.

`sealed_files` adds the seal of a site, which finds every other change.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgfl_cli.files import atomic_write_bytes, sync_folder
from ecgfl_cli.models.manifest import Name, Number, Sha256
from ecgfl_cli.schemas import StrictModel

MAKING = ".new-"
"""Prefix of the folder of a version while it is written."""

REMOVING = ".old-"
"""Prefix of the folder of a version while it is removed."""


class HighWaterMark(StrictModel):
    """The model with the highest number that a site has received.

    Attributes
    ----------
    sequence : int
        Its number.
    version : str
        Its version.
    manifest_sha256 : str or None
        SHA-256 of its manifest; None if only its number is known.
    """

    sequence: Number
    version: Name
    manifest_sha256: Sha256 | None


@dataclass(frozen=True)
class Change:
    """A change of the files of a registry.

    Attributes
    ----------
    folders : mapping
        Version -> name -> content of the files of its folder, which is replaced as a whole.
    files : mapping
        Path of a file, relative to the registry -> its new content; None to remove it.
    removed : sequence of str
        Versions whose folders are removed.
    mark : HighWaterMark or None
        The new high-water mark; None if it does not change.
    """

    folders: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    removed: Sequence[str] = ()
    mark: HighWaterMark | None = None


class ModelFiles:
    """The files in the folder of a registry.

    Parameters
    ----------
    folder : Path
        Folder of the registry. It need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_sealed(self) -> bool:
        """Whether a change by anything else than ecgfl is found."""
        return False

    def require_intact(self, but: str | None = None) -> None:
        """Raise `ModelRejected` if a file was changed by anything else than ecgfl.

        Parameters
        ----------
        but : str or None
            A version that may be damaged, because it is about to be received again.
        """

    def trusts(self, path: str) -> bool:  # noqa: ARG002
        """Whether a file is known to be as ecgfl wrote it."""
        return True

    def mark(self) -> HighWaterMark | None:
        """Return the recorded high-water mark; None if none is recorded."""
        return None

    def number(self) -> int:
        """Return the number of recorded changes; 0 if they are not recorded."""
        return 0

    def apply(self, change: Change) -> None:
        """Make a change: first the new folders, then the files, then the removals."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._tidy()
        for version, files in change.folders.items():
            self._replace_folder(version, files)
        for name, content in change.files.items():
            path = self.folder / name
            if content is None:
                path.unlink(missing_ok=True)
            else:
                atomic_write_bytes(path, content)
        for version in change.removed:
            self._put_away(version)
        self._tidy()
        sync_folder(self.folder)

    def _replace_folder(self, version: str, files: Mapping[str, bytes]) -> None:
        making = Path(tempfile.mkdtemp(prefix=MAKING, dir=self.folder))
        try:
            for name, content in files.items():
                atomic_write_bytes(making / name, content)
            if (self.folder / version).exists():
                self._put_away(version)
            making.replace(self.folder / version)
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise

    def _put_away(self, version: str) -> bool:
        """Rename the folder of a version before its removal: a kill then leaves it whole or gone.

        Returns
        -------
        bool
            False on Windows while another program reads it.
        """
        try:
            (self.folder / version).replace(self.folder / f"{REMOVING}{version}")
        except OSError:
            return False
        return True

    def _tidy(self) -> None:
        """Remove the folders of renamed versions, and those that a killed ecgfl left."""
        for prefix in (MAKING, REMOVING):
            for left_over in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(left_over, ignore_errors=True)  # else with the next change
