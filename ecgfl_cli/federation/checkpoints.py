"""The coordinator's global models: each round's is signed and on the disk before anybody is sent it."""

from datetime import UTC, datetime
from importlib.metadata import version as program_version
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from ecgfl_cli.federation.wire import weights_record
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import Manifest, Metrics, SignedManifest, weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import Entry, Registry, network_of

THRESHOLD = 0.5


class Checkpoints:
    """A run's models in the coordinator's registry, from where a killed run goes on.

    latest : the last model that is safely stored.
    """

    def __init__(self, models: Path, key: ed25519.Ed25519PrivateKey, architecture_name: str, rounds: int, seed: int) -> None:
        self._registry, self._key = Registry(models, key.public_key()), key
        self._architecture = architecture(architecture_name)
        entries = self._registry.entries()
        self._sequence = max((entry.manifest.sequence for entry in entries), default=0)
        same = [entry for entry in entries if entry.manifest.architecture == architecture_name]
        self.resumed = bool(same) and not same[-1].manifest.is_final and same[-1].manifest.rounds == rounds
        if self.resumed:
            self.latest = same[-1]
            self._vector = self._load(self.latest)
            return
        parent = same[-1] if same else None
        self._vector = self._fresh(seed) if parent is None else self._load(parent)
        run = datetime.now(UTC).strftime("%Y%m%dt%H%M%Sz")
        self.latest = self._store(self._manifest(run, 0, rounds, parent, sites=0, examples=0, metrics=None))

    @property
    def length(self) -> int:
        """Weights of the architecture."""
        return self._vector.size

    def arrays(self) -> ArrayRecord:
        """The latest model as it goes to the sites."""
        return weights_record(self._vector)

    def add(self, vector: NDArray[np.float32], sites: int, examples: int, metrics: Metrics | None) -> Entry:
        """Store the next round's model; `metrics` are those of the one before."""
        before = self.latest
        self._vector = vector
        manifest = self._manifest(
            before.manifest.run,
            before.manifest.round + 1,
            before.manifest.rounds,
            before,
            sites=sites,
            examples=examples,
            metrics=metrics,
        )
        self.latest = self._store(manifest)
        return self.latest

    def _manifest(
        self, run: str, round_number: int, rounds: int, parent: Entry | None, sites: int, examples: int, metrics: Metrics | None
    ) -> Manifest:
        self._sequence += 1
        digest = weights_sha256(self._vector)
        return Manifest(
            version=f"{self._architecture.name}-{self._sequence:04d}-{digest[:8]}",
            architecture=self._architecture.name,
            sequence=self._sequence,
            run=run,
            round=round_number,
            rounds=rounds,
            parent=None if parent is None else parent.manifest.version,
            weights_sha256=digest,
            threshold=THRESHOLD,
            sites=sites,
            examples=examples,
            parent_metrics=metrics,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            program=f"ecgfl {program_version('ecgfl')}",
        )

    def _store(self, manifest: Manifest) -> Entry:
        self._registry.add(SignedManifest.sign(manifest, self._key), network_of(manifest, self._vector), "this coordinator")
        if manifest.is_final:
            self._registry.promote(manifest.version)
        return self._registry.entry(manifest.version)

    def _load(self, entry: Entry) -> NDArray[np.float32]:
        return pack(self._registry.load(entry.manifest.version)[1])

    def _fresh(self, seed: int) -> NDArray[np.float32]:
        import torch

        torch.manual_seed(seed)
        return pack(self._architecture.build())
