"""The private parts of Flower 1.41 that ecgfl stands on."""

import logging

APPLICATION = "ecgfl/federation"
"""What a run of ours is called; a site answers nothing else."""

HEARTBEAT_SECONDS = 30


def quieten() -> None:
    """Keep Flower's own log off the streams; what a person must know, ecgfl says. Importing flwr resets it: call this after."""
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
