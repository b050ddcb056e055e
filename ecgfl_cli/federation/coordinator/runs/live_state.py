"""How a coordinator stands at this moment: a small file that `serve` rewrites all the time, for `coordinator status`."""

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.coordinator.json_file import load_json
from ecgfl_cli.federation.coordinator.runs.run_plan import Report
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.times import time_of

LOOK_SECONDS, WRITE_SECONDS = 1.0, 5.0
"""Between two looks at the sites, and between two writes when nothing has changed."""

SILENT_SECONDS = 30.0
"""After which a `serve` that has not written is taken for dead."""


class SiteState(BaseModel):
    """last_contact : ISO 8601, UTC, of its newest heartbeat; None when it never came."""

    model_config = ConfigDict(extra="forbid")

    site: str
    connected: bool
    last_contact: str | None = None


class LiveState(BaseModel):
    """round : the last finished one. phase : what is being done now. updated : ISO 8601, UTC.

    absent : as in `RunReport`, so far.
    """

    model_config = ConfigDict(extra="forbid")

    schema_name: Annotated[Literal["ecgfl.coordinator-state/1"], Field(alias="schema")] = (
        "ecgfl.coordinator-state/1"
    )
    run: str
    round: int
    rounds: int
    phase: str
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
        """Whether a `serve` still writes it."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.updated)
        return self.outcome == "running" and age.total_seconds() < SILENT_SECONDS

    def in_words(self) -> str:
        """How the run stands, in one line."""
        done = f"round {self.round} of {self.rounds} finished"
        if self.is_live:
            return f"{done}; now {self.phase}; serving on {self.address}"
        if self.outcome == "running":
            return f"{done}; `serve` was killed or the machine stopped ({self.updated}): start it again, and it goes on"
        return f"{done}; {self.outcome} ({self.updated})" + (
            f": {self.problem}" if self.problem else ""
        )


def load_state(path: Path) -> LiveState | None:
    """None where no `serve` has been. Raises `UnusableInput` when the file is broken."""
    try:
        return load_json(path, LiveState, "Delete it; `ecgfl coordinator serve` writes a new one")
    except FileNotFoundError:
        return None


class StateFile:
    """Writes what `look` finds, from a thread of its own, while the block runs, and once more at its end.

    look : also takes in who was enrolled or revoked, so that this takes effect in the middle of a phase.
    """

    def __init__(self, path: Path, look: Callable[[], LiveState], report: Report) -> None:
        self._path, self._look, self._report = path, look, report
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="live-state", daemon=True)
        self._written: LiveState | None = None
        self._written_at = 0.0
        self._complained = False

    def __enter__(self) -> "StateFile":
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=10)
        with contextlib.suppress(OSError, EcgflError):
            self._write()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._write()
                self._complained = False
            except Exception as error:  # noqa: BLE001 - a full disk, or whatever it is: revocations are seen from this thread
                if not self._complained:
                    self._report(
                        f"{self._path.name} cannot be written: {error or type(error).__name__}"
                    )
                self._complained = True

    def _write(self) -> None:
        state = self._look()
        due = time.monotonic() - self._written_at > WRITE_SECONDS
        if (
            due
            or self._written is None
            or state.model_copy(update={"updated": self._written.updated}) != self._written
        ):
            atomic_write_bytes(
                self._path, state.model_dump_json(by_alias=True, indent=1).encode() + b"\n"
            )
            self._written, self._written_at = state, time.monotonic()
