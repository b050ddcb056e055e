"""A small signed model, made without training."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import Manifest, weights_sha256
from ecgfl_cli.models.packing import pack

NOW = datetime.now(UTC)


@pytest.fixture(scope="session")
def key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def network() -> "object":
    import torch

    torch.manual_seed(1)
    return architecture("ecgnet").build()


@pytest.fixture
def manifest(network: "object") -> Callable[..., Manifest]:
    """manifest(sequence=3, ...): of `network`, with those fields changed."""

    def manifest(**changes: object) -> Manifest:
        sequence = changes.get("sequence", 1)
        assert isinstance(sequence, int)
        fields = {
            "version": f"ecgnet-{sequence:04d}-abcdef01",
            "architecture": "ecgnet",
            "sequence": sequence,
            "run": "20260101t000000z",
            "round": 1,
            "rounds": 5,
            "parent": None,
            "weights_sha256": weights_sha256(pack(network)),
            "threshold": 0.5,
            "sites": 2,
            "examples": 100,
            "parent_metrics": None,
            "created": (NOW + timedelta(seconds=sequence)).isoformat(timespec="milliseconds"),
            "expires": (NOW + timedelta(days=30)).isoformat(timespec="milliseconds"),
            "program": "ecgfl 0",
        }
        return Manifest.model_validate({**fields, **changes})

    return manifest
