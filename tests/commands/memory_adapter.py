"""Recordings that lie in memory and in no file: an adapter for tests of what uses adapters."""

from pathlib import Path

from ecgfl_adapters.errors import FileMissing
from ecgfl_adapters.protocol import ReadOptions
from ecgfl_adapters.recording import Recording


class MemoryAdapter:
    """Holds what was written, by its path.

    `memory://` is not needed: any path will do that ends in .memory.
    """

    name = "memory"

    def __init__(self) -> None:
        self.recordings: dict[Path, Recording] = {}

    def recognises(self, path: Path) -> bool:
        return path in self.recordings

    def read(self, path: Path, options: ReadOptions) -> Recording:
        if path not in self.recordings:
            raise FileMissing(
                path,
                "is not in memory",
                f"Write it first; asked for were {options.leads or 'all leads'}",
            )
        return self.recordings[path]

    def write(self, recording: Recording, folder: Path) -> tuple[Path, ...]:
        path = folder / f"{recording.name}.memory"
        self.recordings[path] = recording
        return (path,)
