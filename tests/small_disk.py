"""A disk that is soon full."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest


class Disk:
    """A file system of its own, in memory, in a folder."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        if sys.platform != "linux":
            pytest.skip("a small disk can be mounted in memory on Linux")
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", str(folder))

    def fill(self, all_but: int = 0) -> None:
        """Leave no more than so many bytes free, to the page."""
        state = os.statvfs(self.folder)
        left = state.f_bavail * state.f_frsize - all_but
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            try:
                while left > 0:
                    left -= filler.write(bytes(min(left, 4096)))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - it is what was wanted

    def make_room(self) -> None:
        self._mount("-o", "remount,size=64m", str(self.folder))

    def forbid_writing(self) -> None:
        self._mount("-o", "remount,ro", str(self.folder))

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True, capture_output=True)

    @staticmethod
    def _mount(*arguments: str) -> None:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this user may not mount a small disk: {done.stderr.strip()}")
