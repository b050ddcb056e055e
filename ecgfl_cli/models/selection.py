"""The files of a registry that state its current, best and previously used versions."""

import re
from pathlib import Path

from ecgfl_adapters.bounded import read_bounded

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.manifest import VERSION

CURRENT = "current"
"""File with the version that `predict` uses. It is missing if there is none."""

BEST = "best"
"""File with the version that new versions are compared with."""

HISTORY = "history"
"""File with the versions that were used before, one a line, oldest first."""

SELECTION_FILES = frozenset((CURRENT, HISTORY, BEST))

NO_VERSION = "-"
"""The line that stands for no version: the starter model is used."""

LONGEST_HISTORY = 100
"""Largest number of versions in the history."""

LARGEST_FILE = 1 << 20
"""Largest size of a file in bytes."""


class Selection:
    """The selected versions of a registry.

    It does not check that the versions exist; `Registry` does.

    Parameters
    ----------
    folder
        Folder of the registry.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def current(self) -> str | None:
        """Return the version that `predict` uses; None before there is one.

        Raises
        ------
        ModelRejected
            The file is damaged.
        """
        if not self._path(CURRENT).is_file():
            return None
        return self._read_version(CURRENT)

    def best(self) -> str | None:
        """Return the best version accepted so far, or the last one that a person chose.

        Returns
        -------
        str or None
            None if it is not in this registry. The current version in registries of earlier
            versions of ecgfl, which did not record it.

        Raises
        ------
        ModelRejected
            The file is damaged.
        """
        if not self._path(BEST).is_file():
            return self.current()
        return self._read_version(BEST)

    def history(self) -> list[str | None]:
        """Return the versions that were used before, oldest first."""
        lines = self._read(HISTORY).split() if self._path(HISTORY).is_file() else []
        return [None if line == NO_VERSION else line for line in lines]

    def used_before(self, present: set[str | None]) -> list[str | None]:
        """Return the versions that were used before the current one, oldest first.

        The current version does not count, which a kill between two writes may have left at the
        end of the history.

        Parameters
        ----------
        present
            The versions that still exist. Others do not count.

        Raises
        ------
        UsageError
            There is none.
        """
        current = self.current()
        used = [version for version in self.history() if version in present]
        while used and used[-1] == current:
            used.pop()
        if not used:
            raise UsageError(
                f"{self._path(HISTORY)}: no version was used before the current one "
                f"({current or 'the starter model'})",
                "`ecgfl model list` shows the versions; choose one with `ecgfl model use VERSION`",
            )
        return used

    def promoted(self, version: str | None, as_best: bool) -> dict[str, bytes | None]:
        """Return the new files after a promotion, which adds the version before to the history.

        Parameters
        ----------
        version
            The version; None for no version.
        as_best
            Whether it is also the best one. Otherwise the best version does not change.
        """
        files: dict[str, bytes | None] = {}
        if as_best:
            files[BEST] = _line(version)
        elif not self._path(BEST).is_file():
            files[BEST] = _line(self.current())
        try:
            before = self.current()
        except ModelRejected:
            before = version  # the file is damaged, so nothing is known of the version before
        if before != version:
            files[HISTORY] = _lines([*self.history(), before])
        return {**files, **_current(version)}

    def rolled_back(self, used: list[str | None]) -> dict[str, bytes | None]:
        """Return the new files if the last of `used` becomes current and best again.

        The others are the history.
        """
        *older, version = used
        return {BEST: _line(version), **_current(version), HISTORY: _lines(older)}

    def _read_version(self, name: str) -> str | None:
        version = self._read(name).strip()
        if name == BEST and version == NO_VERSION:
            return None
        if not re.fullmatch(VERSION, version):
            raise ModelRejected(
                f"{self._path(name)}: {version[:80]!r} is not a version",
                "Choose one: `ecgfl model use VERSION`",
            )
        return version

    def _read(self, name: str) -> str:
        return read_bounded(self._path(name), LARGEST_FILE).decode("utf-8", "replace")

    def _path(self, name: str) -> Path:
        return self._folder / name


def selected(version: str | None) -> dict[str, bytes | None]:
    """Return the files that select one version and know of no earlier one."""
    return {BEST: _line(version), **_current(version), HISTORY: None}


def _current(version: str | None) -> dict[str, bytes | None]:
    return {CURRENT: None if version is None else _line(version)}


def _line(version: str | None) -> bytes:
    return f"{version or NO_VERSION}\n".encode()


def _lines(used: list[str | None]) -> bytes:
    return b"".join(map(_line, used[-LONGEST_HISTORY:]))
