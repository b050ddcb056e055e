"""Sites and coordinator over Flower. The only package that imports flwr; its private parts are in `flower`."""

import os

# Read by flwr when it is imported, and importing anything of this package comes before: no telemetry, no update check,
# no `uv sync` of a bundle's dependencies.
os.environ.update(
    FLWR_TELEMETRY_ENABLED="0",
    FLWR_DISABLE_UPDATE_CHECK="1",
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION="1",
)
