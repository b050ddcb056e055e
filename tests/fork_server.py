"""The fork server of a test process, with the modules of every process that tests start.

A process has one fork server, and it imports only what it was given when it started. Started by the
first test that needs it, it would make each later `ingest` or `join` import the rest anew, which
takes several times as long as the work.
"""

from ecgfl_cli.processes import begin_loading
from ecgfl_cli.store import WORKER_MODULES

MODULES = (
    *WORKER_MODULES,
    "pytest",
    "psutil",
    "ecgfl_cli.commands.coordinator",
    "ecgfl_cli.commands.join",
    "ecgfl_cli.federation.coordinator.serve",
    "ecgfl_cli.federation.site.participation",
    "ecgfl_cli.federation.site.setup",
    "ecgfl_cli.models.architectures.beatnet",
    "ecgfl_cli.models.architectures.ecgnet",
    "torch._dynamo",
)


def start_fork_server() -> None:
    """Start it, unless it runs. It imports the modules while the tests go on."""
    begin_loading(MODULES)
