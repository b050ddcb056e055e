"""Sites without data that answer a real coordinator at once, so that one machine can run many.

They authenticate, poll, fetch and send with the program's own code; only the work is missing.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from ecgfl_cli.app import run
from ecgfl_cli.federation.coordinator.home import CoordinatorHome
from ecgfl_cli.federation.coordinator.identity.enrolment import enrol
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import (
    Content,
    EvaluateReply,
    EvaluateRequest,
    Kind,
    TrainReply,
    TrainRequest,
    figures_of,
)
from ecgfl_cli.federation.release_steps.step import ReleaseStep
from ecgfl_cli.federation.signed_requests import Received, read_request
from ecgfl_cli.federation.site.participation import LONGEST_PATIENCE_SECONDS
from ecgfl_cli.federation.site.session import Session
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.federation_file import Federation, load_federation
from ecgfl_cli.models.manifest import Manifest, check_weights
from ecgfl_cli.site.audit import FIRST, Head
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint, load_node_key, make_keys
from ecgfl_cli.site.outbox import Release

NOISE = 1e-3
"""Standard deviation of what a light site adds to each weight."""

EXAMPLES, HELD_OUT, PVCS = 10_000, 3_000, 300
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Answer:
    """An answer.

    kind : "train" or "evaluate". began, ended : `time.time()` when the request had arrived, and
    when its reply was made.
    """

    kind: str
    round: int
    began: float
    ended: float


@dataclass
class Traffic:
    """HTTP calls and their bytes without those of TLS and TCP, by the last part of the path."""

    calls: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Traffic") -> None:
        self.calls.update(other.calls)
        self.bytes.update(other.bytes)

    def watch(self, client: httpx.Client) -> None:
        """Count what this client sends and receives from now on."""
        client.event_hooks = {"response": [self._count]}

    def _count(self, response: httpx.Response) -> None:
        request = response.request
        call = request.url.path.rsplit("/", 1)[-1]
        self.calls[call] += 1
        self.bytes[call] += (
            len(request.method)
            + len(request.url.raw_path)
            + len("  HTTP/1.1\r\n")
            + _head(request.headers)
        )
        self.bytes[call] += (
            len(request.content)
            + len("HTTP/1.1 200 OK\r\n")
            + _head(response.headers)
            + len(response.read())
        )


def _head(headers: httpx.Headers) -> int:
    return sum(len(name) + len(value) + len(": \r\n") for name, value in headers.raw) + len("\r\n")


class LightParticipant:
    """Takes the place of a `Participant`: checks each model and invents the answer.

    number : seed of this site's noise. site : SHA-256 of its public key. final : the version of the
    last model, None before it
        came.
    """

    def __init__(self, number: int, federation: Federation, site: str) -> None:
        self._site = site
        self._random = np.random.default_rng(number)
        self._key = federation.signing_key
        self.answers: list[Answer] = []
        self.steps: list[ReleaseStep] = []
        self.run: str | None = None
        self.rounds = 0
        self.final: str | None = None

    def answer(self, kind: Kind, content: Content) -> Release:
        """The release that the coordinator gets for a request."""
        began = time.time()
        if kind is Kind.TRAIN:
            received = read_request(content, TrainRequest, self._key, self._site)
            manifest = self._open(received)
            noise = NOISE * self._random.standard_normal(received.vector.size, dtype=np.float32)
            release = self.trained(received.vector + noise)
            self.answers.append(Answer("train", manifest.round + 1, began, time.time()))
            return release
        if kind is Kind.CATCH_UP:
            return Release(kind)
        manifest = self._open(read_request(content, EvaluateRequest, self._key, self._site))
        self.rounds += 1
        self.final = manifest.version if manifest.is_final else None
        self.answers.append(Answer("evaluate", manifest.round, began, time.time()))
        return self.measured(manifest.round)

    def trained(self, vector: Any) -> Release:
        """What the site answers to a training request, with these weights."""
        reply = TrainReply(examples=EXAMPLES, pvcs=PVCS, loss=0.1)
        return Release(Kind.TRAIN, figures_of(reply), vector)

    def measured(self, this_round: int) -> Release:
        """What the site answers when it is asked to measure the model of a round."""
        return Release(Kind.EVALUATE, figures_of(_measured(this_round)))

    def _open(self, received: Received[Any]) -> Manifest:
        manifest: Manifest = received.content.model.open(self._key)
        check_weights(manifest, received.vector)
        self.run = manifest.run
        return manifest


def _measured(this_round: int) -> EvaluateReply:
    """Counts of a network that finds 80 % of the PVCs at first, and one more with each round."""
    middle = COUNTS // 2
    found = PVCS - max(0, PVCS // 5 - this_round)
    others, pvcs = [0] * COUNTS, [0] * COUNTS
    others[middle - 5], others[middle + 5] = HELD_OUT - PVCS - 20, 20
    pvcs[middle - 5], pvcs[middle + 5] = PVCS - found, found
    return EvaluateReply(
        examples=HELD_OUT,
        pvcs=PVCS,
        true_positives=found,
        false_positives=20,
        loss=0.1,
        sensitivity=found / PVCS,
        precision=found / (found + 20),
        others_by_logit=others,
        pvcs_by_logit=pvcs,
    )


class _NoAudit:
    """A light site has no home to keep a log in."""

    def append(self, event: str, **details: object) -> None:
        """Forgotten."""

    def last(self) -> Head:
        """That of an empty log."""
        return Head(0, FIRST)


@dataclass
class Ended:
    """What a light site did. problem : what ended it too early."""

    site: str
    answers: list[Answer]
    final: str | None
    problem: str | None
    traffic: Traffic


def homes_for(folder: Path, names: Iterable[str]) -> dict[str, Home]:
    """A home with node keys, and nothing else, for each name."""
    homes = {name: Home(folder / name) for name in names}
    for home in homes.values():
        home.root.mkdir(parents=True)
        make_keys(home)
    return homes


def coordinator_for(folder: Path, homes: dict[str, Home]) -> CoordinatorHome:
    """A new coordinator at `localhost`, in `folder`, which has enrolled these sites."""
    root = folder / "coordinator"
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        run(["--home", str(root), "coordinator", "init", "--name", "localhost"])
    coordinator = CoordinatorHome(Home(root).coordinator)
    for name, home in homes.items():
        enrol(coordinator, home.node_public_key, name)
    return coordinator


def take_part(
    home: Home,
    number: int,
    server: str,
    federation: Federation,
    kind: type[LightParticipant] = LightParticipant,
) -> Ended:
    """One run, from the connection to its end."""
    participant, traffic = kind(number, federation, fingerprint(home.node_public_key)), Traffic()
    problem: str | None = None
    try:
        authority, key = federation.ca_certificate.encode(), load_node_key(home)
        with FleetConnection(
            server, authority, key, federation.signing_public_key, LONGEST_PATIENCE_SECONDS
        ) as connection:
            traffic.watch(connection._client._client)
            session = Session(connection, participant, _NoAudit())  # type: ignore[arg-type]
            deadline = time.monotonic() + LONGEST_SECONDS
            if session.wait(deadline):
                session.take_part(deadline)
    except Exception as error:  # noqa: BLE001 - told by whoever reads the result
        problem = f"{type(error).__name__}: {error}"
    return Ended(home.root.name, participant.answers, participant.final, problem, traffic)


@contextmanager
def light_sites(
    homes: list[Home], server: str, federation: Federation, first: int = 0
) -> Iterator[list[Ended]]:
    """Run each site in a thread. The list of results is complete after the block."""
    ended: list[Ended] = []

    def one(home: Home, number: int) -> None:
        ended.append(take_part(home, number, server, federation))

    threads = [
        threading.Thread(target=one, args=(home, first + number), daemon=True)
        for number, home in enumerate(homes)
    ]
    for thread in threads:
        thread.start()
    yield ended
    for thread in threads:
        thread.join()


def in_a_process(
    folders: list[Path], server: str, federation: Path, first: int, results: "Queue[list[Ended]]"
) -> None:
    """The same as the work of a process of its own."""
    with light_sites(
        [Home(folder) for folder in folders], server, load_federation(federation), first
    ) as ended:
        pass
    results.put(ended)
