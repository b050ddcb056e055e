"""The private parts of Flower 1.41 that ecgfl stands on, and the settings that must precede its import."""

import logging
import os

# Read by flwr when it is imported: no telemetry, no update check, no `uv sync` of a bundle's dependencies.
os.environ.update(
    FLWR_TELEMETRY_ENABLED="0",
    FLWR_DISABLE_UPDATE_CHECK="1",
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION="1",
)
APPLICATION = "ecgfl/federation"
"""What a run of ours is called; a site answers nothing else."""

HEARTBEAT_SECONDS = 30


def quieten() -> None:
    """Keep Flower's own log off the streams; what a person must know, ecgfl says. Importing flwr resets it: call this after."""
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
