"""The part of the federation that uses Flower. ecgfl depends on private parts of Flower 1.41.

Only this package and the engine of `simulation` import flwr.
"""

import functools
import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version

from flwr.supercore.constant import FLWR_PACKAGE_VERSION_METADATA_KEY

from ecgfl_cli.errors import UsageError

TESTED_FLOWER = ("1.41.0",)
"""Releases of Flower that were read and tested for everything that ecgfl relies on.

ecgfl calls private parts of Flower. If another release moved a check elsewhere, ecgfl would skip
that check without a warning.
"""

APPLICATION = "ecgfl/federation"
"""Name of the application in Flower's runs. A site answers no other."""

HEARTBEAT_SECONDS = 30
"""Interval of the heartbeats of a site."""

PROTOCOL_HEADER = "ecgfl-protocol"
"""Header of each call that states the version of the protocol."""

PROTOCOL = "1.2"
"""Version of the protocol between sites and coordinator (`federation.messages`).

Raise it for a change that an older ecgfl does not understand.

1.1: the replies after a run's last round and to a catch-up request carry the site's verdict on the
model.
1.2: each request is signed for one site (`federation.signed_requests`), and models expire.
"""

OTHER_VERSION = 426
"""HTTP status of the answer to a site whose version of ecgfl or Flower is incompatible."""


def is_compatible(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the versions of a peer are compatible with this program.

    The protocol must be the same, and the major and minor number of Flower. A version that the peer
    does not state is accepted.

    Parameters
    ----------
    headers
        Headers of the peer's request, with names in lower case.
    """
    flower = headers.get(FLWR_PACKAGE_VERSION_METADATA_KEY.encode())
    protocol = headers.get(PROTOCOL_HEADER.encode())
    is_same_flower = flower is None or flower.split(b".")[:2] == _own_version()
    return is_same_flower and protocol in (None, PROTOCOL.encode())


@functools.cache
def _own_version() -> list[bytes]:
    """Return the major and minor number of Flower. Reading them for each call would take ms."""
    return version("flwr").encode().split(b".")[:2]


def require_tested_flower() -> None:
    """Check that a tested release of Flower is installed.

    Raises
    ------
    UsageError
        Another release is installed.
    """
    installed = version("flwr")
    if installed not in TESTED_FLOWER:
        raise UsageError(
            f"Flower {installed} is installed, and this ecgfl was tested with"
            f" {' and '.join(TESTED_FLOWER)} only",
            f"Install it: {sys.executable} -m pip install flwr=={TESTED_FLOWER[-1]}",
        )


def quieten() -> None:
    """Silence Flower's log, because ecgfl reports what a person must know.

    Importing flwr resets the level of its log, so call this after the import.
    """
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
