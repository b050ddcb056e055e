"""The nightly join, for any scheduler."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ecgfl_cli.errors import UsageError

TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Nightly:
    """One `ecgfl join --once` a day.

    Attributes
    ----------
    name
        Name of the site.
    home, ca
        Absolute paths.
    hour, minute
        Start time, in local time.
    max_wait, max_time
        Durations in the form of the command line.
    proxy
        "http://HOST:PORT" that leads to the server, or None; a scheduler does not inherit
        HTTPS_PROXY from anybody's shell.
    """

    name: str
    home: Path
    server: str
    hour: int
    minute: int
    max_wait: str
    max_time: str
    ca: Path | None = None
    proxy: str | None = None

    @property
    def open_proxy(self) -> str | None:
        """The proxy, unless its address holds a password."""
        return None if self.hides_password else self.proxy

    @property
    def hides_password(self) -> bool:
        """Whether the proxy's address holds a password, which no unit or command line may show."""
        return self.proxy is not None and urlsplit(self.proxy).password is not None

    @property
    def command(self) -> list[str]:
        """The words of the command line. Paths are absolute, because PATH and HOME may differ.

        Raises
        ------
        UsageError
            A path contains a control character, which no scheduler's file can hold.
        """
        authority = [] if self.ca is None else ["--ca", str(self.ca)]
        words = [
            *program(),
            "--home",
            str(self.home),
            "join",
            "--server",
            self.server,
            *authority,
            "--once",
        ]
        words += ["--max-wait", self.max_wait, "--max-time", self.max_time]
        for word in (*words, self.proxy or ""):
            if UNPRINTABLE.search(word):
                raise UsageError(
                    f"{word!r} holds a control character",
                    "Rename that folder; no scheduler can start ecgfl there",
                )
        return words


def program() -> list[str]:
    """Return the command that starts this ecgfl: its script, or its Python and module."""
    started = Path(sys.argv[0]).absolute()
    if started.stem.lower() == "ecgfl" and started.is_file():
        return [str(started)]
    return [str(Path(sys.executable).absolute()), "-m", "ecgfl_cli"]


def time_of_day(text: str) -> tuple[int, int]:
    """Return hour and minute of a time such as "22:30".

    Raises
    ------
    UsageError
        The text is not a time of day.
    """
    found = TIME_OF_DAY.fullmatch(text)
    if not found:
        raise UsageError(
            f"--at {text!r} is not a time of day", "Give hours and minutes, for instance --at 22:30"
        )
    return int(found[1]), int(found[2])
