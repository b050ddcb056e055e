"""The current state of a coordinator, in a small file.

`serve` rewrites the file all the time; `coordinator status` reads it.
"""

import contextlib
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.coordinator.json_file import load_json
from ecgfl_cli.federation.coordinator.runs.run_record import Phase
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.hours import Hours
from ecgfl_cli.times import time_of

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Time between two looks at the sites."""
WRITE_SECONDS = 5.0
"""Time between two writes if nothing has changed."""
SILENT_SECONDS = 30.0
"""Age of the file from which its `serve` counts as killed."""


class SiteState(BaseModel):
    """The state of one site.

    Attributes
    ----------
    last_contact
        Time of the site's newest heartbeat by ISO 8601, UTC; None if it has never connected.
    """

    model_config = ConfigDict(extra="forbid")

    site: str
    connected: bool
    last_contact: str | None = None


class LiveState(BaseModel):
    """The state of a coordinator.

    Attributes
    ----------
    round
        The last finished round.
    phase
        What the run is doing, in words.
    phase_code
        What the run is doing; None if an earlier ecgfl wrote the file.
    phase_round
        Round that is being trained or measured; None in other phases.
    absent
        As in `RunReport`, so far.
    updated
        Time of the last write by ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid")

    schema_name: Annotated[Literal["ecgfl.coordinator-state/1"], Field(alias="schema")] = (
        "ecgfl.coordinator-state/1"
    )
    run: str
    round: int
    rounds: int
    phase: str
    phase_code: Phase | None = None
    phase_round: int | None = None
    address: str
    outcome: str
    problem: str | None = None
    absent: list[str] = []
    updated: str
    sites: list[SiteState] = []

    @field_validator("updated")
    @classmethod
    def _is_time(cls, text: str) -> str:
        time_of(text)
        return text

    @property
    def is_live(self) -> bool:
        """Whether a `serve` still writes the file."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.updated)
        return self.outcome == "running" and age.total_seconds() < SILENT_SECONDS

    def in_words(self) -> str:
        """Return the state of the run in one line."""
        done = f"round {self.round} of {self.rounds} finished"
        if self.is_live:
            return f"{done}; now {self.phase}; serving on {self.address}"
        if self.outcome == "running":
            return (
                f"{done}; `serve` was killed or the machine stopped ({self.updated}): start it"
                " again to resume the run"
            )
        problem = f": {self.problem}" if self.problem else ""
        return f"{done}; {self.outcome} ({self.updated}){problem}"


def phase_in_words(phase: Phase, this_round: int | None, hours: Hours | None) -> str:
    """Return a phase in words.

    Parameters
    ----------
    phase
        The phase.
    this_round
        Round that is being trained or measured.
    hours
        Hours in which a round may begin.
    """
    if phase is Phase.WAITING_FOR_HOURS:
        return f"{phase} {hours}"
    return f"{phase}" if this_round is None else f"{phase}, round {this_round}"


def load_state(path: Path) -> LiveState | None:
    """Read the state; None if nothing has been served yet.

    Raises
    ------
    UnusableInput
        If the file is broken.
    """
    try:
        return load_json(path, LiveState, "Delete it; `ecgfl coordinator serve` writes a new one")
    except FileNotFoundError:
        return None


class StateFile:
    """A context in which a thread writes the state, which is also written once at the end.

    Parameters
    ----------
    path
        The file.
    look
        Returns the state. It also registers enrolled sites and removes revoked ones, so that both
        take effect in the middle of a phase.
    """

    def __init__(self, path: Path, look: Callable[[], LiveState]) -> None:
        self._path = path
        self._look = look
        self._over = threading.Event()
        context = contextvars.copy_context()  # so that its log lines have the same fields
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), name="live-state", daemon=True
        )
        self._written: LiveState | None = None
        self._written_at = 0.0
        self._has_warned = False

    def __enter__(self) -> "StateFile":
        """Write the state and start the thread."""
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread and write the state."""
        self._over.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(OSError, EcgflError):
            self._write()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._write()
                self._has_warned = False
            except Exception as error:  # noqa: BLE001 - revocations depend on this thread, whatever fails
                if not self._has_warned:
                    reason = error or type(error).__name__
                    _log.warning(f"{self._path.name} cannot be written: {reason}")
                self._has_warned = True

    def _write(self) -> None:
        state = self._look()
        is_due = time.monotonic() - self._written_at > WRITE_SECONDS
        if (
            is_due
            or self._written is None
            or state.model_copy(update={"updated": self._written.updated}) != self._written
        ):
            content = state.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
            atomic_write_bytes(self._path, content)
            self._written = state
            self._written_at = time.monotonic()
