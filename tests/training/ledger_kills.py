"""Kill a site at random moments while it reserves trainings and sends their results."""

import multiprocessing
import random
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.outbox import Outbox, Release
from ecgfl_cli.site.privacy_policy import PrivacyPolicy
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.ledger import PrivacyLedger

PLENTY = PrivacyPolicy(epsilon=20.0, delta=1e-3, noise_multiplier=900.0, sampling=1.0, steps=4)
"""A budget that thousands of rounds do not spend."""

PATIENTS: dict[str, tuple[str, ...]] = {f"patient-{number}": () for number in range(40)}

START_METHODS = multiprocessing.get_all_start_methods()
CONTEXT = multiprocessing.get_context("fork" if "fork" in START_METHODS else "spawn")


@dataclass(frozen=True)
class Counts:
    """Identifiers of requests, in their order.

    Attributes
    ----------
    reserved
        Requests of the reservations in the ledger.
    logged
        Requests of the `send` lines of the audit log.
    sent
        Requests whose reply has left.
    """

    reserved: list[str]
    logged: list[str]
    sent: list[str]


@dataclass(frozen=True)
class PackedText:
    """A reply as bytes."""

    text: bytes

    @property
    def size(self) -> int:
        return len(self.text)

    @property
    def sha256(self) -> str:
        return sha256(self.text).hexdigest()


class FileExit:
    """Writes what leaves the site to a file, a line for each reply."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pack(self, release: Release, to: str) -> PackedText:  # noqa: ARG002
        return PackedText(f"{to}\n".encode())

    def send(self, packed: PackedText) -> bool:
        with self._path.open("ab") as file:
            file.write(packed.text)
        return True


def spend(root: Path, sent: Path) -> None:
    """Reserve a training and send its result, again and again until this process is killed."""
    home = Home(root)
    number = len(sent.read_text().splitlines()) if sent.exists() else 0
    outbox = Outbox(AuditLog(home.audit), FileExit(sent), [])
    while True:
        number += 1
        request = f"request-{number}-{time.monotonic_ns()}"
        PrivacyLedger(home).reserve(PLENTY, mechanism_of(PLENTY), PATIENTS, request, "r1", number)
        outbox.send(Release("train", {"num-examples": 100}), request, request)


def kill_often(home: Home, sent: Path, kills: int, seed: int = 1) -> Counts:
    """Kill the site so many times, soon after it has written to one of its files.

    Raises
    ------
    RuntimeError
        The site ended by itself.
    """
    randomness = random.Random(seed)
    for _ in range(kills):
        awaited = randomness.choice((home.privacy, home.audit, sent))
        size = _size_of(awaited)
        process = CONTEXT.Process(target=spend, args=(home.root, sent))
        process.start()
        while _size_of(awaited) == size:
            if not process.is_alive():
                raise RuntimeError(f"the site ended with exit code {process.exitcode}")
            time.sleep(0.001)
        time.sleep(randomness.uniform(0.0, 0.02))
        process.kill()
        process.join()
    (cohort,) = PrivacyLedger(home).cohorts()
    entries: list[dict[str, Any]] = AuditLog(home.audit).entries()
    return Counts(
        [reservation.line.request for reservation in cohort.reservations],
        [entry["run"] for entry in entries if entry["event"] == "send"],
        sent.read_text().split() if sent.exists() else [],
    )


def faults_of(counts: Counts) -> list[str]:
    """Return what is wrong: a reply that left without a reservation or a line of the log."""
    faults = [
        f"{name} was sent and not reserved" for name in counts.sent if name not in counts.reserved
    ]
    faults += [
        f"{name} was logged and not reserved"
        for name in counts.logged
        if name not in counts.reserved
    ]
    return faults + [
        f"{name} was sent and not logged" for name in counts.sent if name not in counts.logged
    ]


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
