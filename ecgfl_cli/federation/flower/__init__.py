"""The private parts of Flower 1.41 that ecgfl stands on."""

import functools
import logging
from importlib.metadata import version

APPLICATION = "ecgfl/federation"
"""What a run of ours is called; a site answers nothing else."""

HEARTBEAT_SECONDS = 30

OTHER_VERSION = 426
"""The HTTP status by which a coordinator tells a site that their versions of Flower do not go together."""


def is_compatible(peer: bytes | None) -> bool:
    """Whether a peer's version of Flower goes with ours: the same major and minor number. One that states none is let pass."""
    return peer is None or peer.split(b".")[:2] == _own_version()


@functools.cache
def _own_version() -> list[bytes]:
    """Looked up once: reading and parsing the installed package's description for each call of a site would take milliseconds."""
    return version("flwr").encode().split(b".")[:2]


def quieten() -> None:
    """Keep Flower's own log off the streams; what a person must know, ecgfl says. Importing flwr resets it: call this after."""
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
