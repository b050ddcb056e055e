"""The private parts of Flower 1.41 that ecgfl stands on."""

import functools
import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version

from flwr.common.constant import ErrorCode
from flwr.supercore.constant import FLWR_PACKAGE_VERSION_METADATA_KEY

from ecgfl_cli.errors import UsageError

TESTED_FLOWER = ("1.41.0",)
"""Releases of Flower that were read and tested for everything that ecgfl relies on. ecgfl calls private parts of Flower; if
another release moved a check elsewhere, ecgfl would skip that check without a warning."""

APPLICATION = "ecgfl/federation"
"""What a run of ours is called; a site answers nothing else."""

HEARTBEAT_SECONDS = 30

PROTOCOL_HEADER, PROTOCOL = "ecgfl-protocol", "1.2"
"""Protocol version of sites and coordinator (`federation.messages`). Raise it for a change that an older ecgfl does not understand.

1.1: the replies after a run's last round and to a catch-up request carry the site's verdict on the model.
1.2: each request is signed for one site (`federation.signed_requests`), and models expire.
"""

OTHER_VERSION = 426
"""The HTTP status by which a coordinator tells a site that their versions of ecgfl or of Flower do not go together."""

NODE_GONE = ErrorCode.NODE_UNAVAILABLE
"""The code with which Flower answers a request in the place of a site whose session has ended."""


def is_compatible(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a peer's Flower (its major and minor number) and protocol go with ours. One that states none is let pass.

    headers : of its request, names in lower case.
    """
    flower = headers.get(FLWR_PACKAGE_VERSION_METADATA_KEY.encode())
    is_same_flower = flower is None or flower.split(b".")[:2] == _own_version()
    return (
        is_same_flower
        and headers.get(PROTOCOL_HEADER.encode(), PROTOCOL.encode()) == PROTOCOL.encode()
    )


@functools.cache
def _own_version() -> list[bytes]:
    """Looked up once: reading and parsing the installed package's description for each call of a site would take milliseconds."""
    return version("flwr").encode().split(b".")[:2]


def require_tested_flower() -> None:
    """Raises `UsageError` unless a tested release of Flower is installed."""
    installed = version("flwr")
    if installed not in TESTED_FLOWER:
        raise UsageError(
            f"Flower {installed} is installed, and this ecgfl was tested with {' and '.join(TESTED_FLOWER)} only",
            f"Install it: {sys.executable} -m pip install flwr=={TESTED_FLOWER[-1]}",
        )


def quieten() -> None:
    """Keep Flower's own log off the streams; what a person must know, ecgfl says. Importing flwr resets it: call this after."""
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
