"""An attacker with a coordinator's `server.key`, and possibly its signing key.

The server is real and uses TLS. The sites are processes of `ecgfl join`.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from federation_homes import Homes
from flwr.app import Message, RecordDict
from node_processes import Command, Processes
from numpy.typing import NDArray

from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.flower.codec import record_of
from ecgfl_cli.federation.flower.connections import tls_context
from ecgfl_cli.federation.flower.run_grid import RunGrid
from ecgfl_cli.federation.flower.superlink import SuperLink
from ecgfl_cli.federation.messages import CatchUpRequest, EvaluateRequest, TrainRequest
from ecgfl_cli.federation.signed_requests import seal
from ecgfl_cli.logs import Event
from ecgfl_cli.models.manifest import Manifest, SignedManifest, validity, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.keys import fingerprint, load_public_key

Vector = NDArray[np.float32]
Request = TrainRequest | EvaluateRequest | CatchUpRequest
MESSAGE_KINDS = {TrainRequest: "train", EvaluateRequest: "evaluate", CatchUpRequest: "query"}
CONNECT_SECONDS, ANSWER_SECONDS = 60.0, 60.0
RUN = "20260101t000000z"


def starter_weights() -> Vector:
    """Return the weights of the starter model, which each site has."""
    registry = starter_registry()
    return pack(registry.load(registry.current() or "")[1])


def perturbed(seed: int, scale: float = 1e-4) -> Vector:
    """Return slightly changed weights of the starter model, which find PVCs as well."""
    vector = starter_weights()
    return vector + np.random.default_rng(seed).normal(0, scale, vector.size).astype(np.float32)


@dataclass
class HostileCoordinator:
    """A coordinator that an attacker controls.

    Attributes
    ----------
    signing_key
        Key that signs models and requests. A thief of `server.key` has another one than the
        federation.
    model_key
        Key that signs models, if it is another one.
    answers
        Answers of the sites, in order.
    """

    homes: Homes
    signing_key: ed25519.Ed25519PrivateKey
    superlink: SuperLink
    grid: RunGrid
    port: int
    nodes: dict[str, int]
    model_key: ed25519.Ed25519PrivateKey | None = None
    sequence: int = 100
    answers: list[Message] = field(default_factory=list)

    def wait_for(self, name: str) -> None:
        """Wait until a site is connected."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while self.nodes[name] not in self.superlink.online():
            assert time.monotonic() < deadline, f"{name} did not connect"
            time.sleep(0.05)

    def manifest(self, vector: Vector, **changes: Any) -> Manifest:
        """Return the manifest of a new model, from the first of three rounds."""
        self.sequence += 1
        created, expires = validity(datetime.now(UTC))
        fields: dict[str, Any] = {
            "version": f"beatnet-{self.sequence:04d}-{weights_sha256(vector)[:8]}",
            "architecture": "beatnet",
            "sequence": self.sequence,
            "run": RUN,
            "round": 1,
            "rounds": 3,
            "parent": None,
            "weights_sha256": weights_sha256(vector),
            "threshold": 0.5,
            "sites": 2,
            "examples": 1000,
            "parent_metrics": None,
            "created": created,
            "expires": expires,
            "program": "ecgfl 0.1.0",
        }
        return Manifest.model_validate({**fields, **changes})

    def signed(self, vector: Vector, **changes: Any) -> SignedManifest:
        return SignedManifest.sign(
            self.manifest(vector, **changes), self.model_key or self.signing_key
        )

    def training(self, model: SignedManifest, **changes: Any) -> TrainRequest:
        """Return a usual training request, with changed fields."""
        fields = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 128, "seed": 1}
        return TrainRequest.model_validate({"model": model, **fields, **changes})

    def sealed(
        self, request: Request, vector: Vector, name: str = "alice", age: timedelta = timedelta(0)
    ) -> RecordDict:
        """Return a request, signed for a site. It was issued before the time `age`."""
        site = fingerprint(self.homes.site(name).node_public_key)
        issued = datetime.now(UTC) - age
        return record_of(seal(request, vector, site, RUN, self.signing_key, 60.0, issued))

    def ask(self, request: Request, vector: Vector, name: str = "alice") -> Message:
        """Send a request to a site and return its answer."""
        return self.send(self.sealed(request, vector, name), MESSAGE_KINDS[type(request)], name)

    def send(self, content: RecordDict, kind: str, name: str = "alice") -> Message:
        """Send a message with any content to a site and return its answer."""
        message = Message(content, dst_node_id=self.nodes[name], message_type=kind)
        answers = self.grid.send_and_receive([message], timeout=ANSWER_SECONDS)
        assert len(answers) == 1, "no answer"
        self.answers += answers
        return answers[0]


@contextlib.contextmanager
def hostile_coordinator(
    homes: Homes, signing_key: ed25519.Ed25519PrivateKey | None = None
) -> Iterator[HostileCoordinator]:
    """Serve as the coordinator. signing_key: None for the coordinator's own key."""
    home = homes.coordinator_home
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        tls = tls_context(home.server_certificate, home.server_key)
        superlink = SuperLink(listener, tls, homes.federation.signing_public_key, 1000)
        nodes = {
            name: superlink.register(load_public_key(homes.site(name).node_public_key), name)
            for name in ("alice", "bob")
        }
        with superlink, superlink.run() as grid:
            yield HostileCoordinator(
                homes, signing_key or load_signing_key(home), superlink, grid, port, nodes
            )


def joined(
    attacker: HostileCoordinator, processes: Processes, name: str = "alice", max_wait: str = "90s"
) -> Command:
    """Start `ecgfl join --once` at a site, and wait until it is connected."""
    command = processes.join(attacker.homes.site(name).root, attacker.port, max_wait=max_wait)
    command.wait_for(Event.CONNECTED)
    attacker.wait_for(name)
    return command


def logged(homes: Homes, event: str, name: str = "alice") -> list[dict[str, Any]]:
    """Return the lines of a site's audit log for an event."""
    entries = map(json.loads, homes.site(name).audit.read_text().splitlines())
    return [entry for entry in entries if entry["event"] == event]
