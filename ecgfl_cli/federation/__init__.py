"""Federated training: the coordinator, the sites, and the messages between them over Flower.

Only `flower` and the engine of `simulation` import flwr.
"""

import os

# flwr reads these when it is imported. They turn off telemetry, the check for updates, and the
# installation of a bundle's dependencies (`uv sync`). This package is always imported before flwr.
os.environ.update(
    FLWR_TELEMETRY_ENABLED="0",
    FLWR_DISABLE_UPDATE_CHECK="1",
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION="1",
)
