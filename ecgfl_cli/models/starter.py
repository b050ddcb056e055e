"""The model that comes with the program, for use before the first federated run.

starter/MODEL_CARD.md describes it.
"""

from pathlib import Path

from ecgfl_cli.models.manifest import public_key_from_text
from ecgfl_cli.models.registry import Registry

FOLDER = Path(__file__).with_name("starter")
"""Folder of the model, laid out as a registry."""

SIGNING_KEY = FOLDER / "signing-key.pub"
"""Public signing key of the federation that trained it."""

MODEL_CARD = FOLDER / "MODEL_CARD.md"


def starter_registry() -> Registry:
    """Return a registry whose only version is the starter model."""
    return Registry(FOLDER, public_key_from_text(SIGNING_KEY.read_text(encoding="ascii").strip()))
