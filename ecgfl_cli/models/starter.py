"""The model that comes with the program, so that `predict` works on the first day: see starter/MODEL_CARD.md."""

from pathlib import Path

from ecgfl_cli.models.manifest import public_key_from_text
from ecgfl_cli.models.registry import Registry

FOLDER = Path(__file__).with_name("starter")
SIGNING_KEY = FOLDER / "signing-key.pub"
MODEL_CARD = FOLDER / "MODEL_CARD.md"


def starter_registry() -> Registry:
    """A registry of one version, signed with the key of the federation that trained it."""
    return Registry(FOLDER, public_key_from_text(SIGNING_KEY.read_text(encoding="ascii").strip()))
