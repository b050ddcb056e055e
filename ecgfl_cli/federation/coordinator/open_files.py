"""Compute how many connections the coordinator may open.

The operating system limits the file handles of a process, often to 1,024.
"""

import sys
from dataclasses import dataclass

from ecgfl_cli.federation.flower.connections import MOST_OF_A_SITE, MOST_STRANGERS, MOST_WAITING

if sys.platform != "win32":
    import resource

RESERVE = 200 + MOST_WAITING
"""File handles for everything else, for instance models, reports and the audit log."""

USUAL_OF_A_SITE = 4
"""Usual number of connections of a site.

One waits for messages, one sends heartbeats, and two transfer the parts of a message.
"""


@dataclass(frozen=True)
class OpenFiles:
    """How many connections the limit on open files allows.

    Attributes
    ----------
    connections
        Largest number of connections at a time.
    problem
        A message if that is too few for the enrolled sites; None if it is enough.
    """

    connections: int
    problem: str | None = None


def allow_connections(sites: int) -> OpenFiles:
    """Raise the limit on open files of this process to what the sites need, as far as possible.

    Windows has no such limit.

    Parameters
    ----------
    sites
        Number of enrolled sites.
    """
    needed = RESERVE + MOST_STRANGERS + MOST_OF_A_SITE * max(sites, 1)
    if sys.platform == "win32":
        return OpenFiles(needed - RESERVE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return OpenFiles(needed - RESERVE)
    least = RESERVE + MOST_STRANGERS + USUAL_OF_A_SITE * sites
    problem = None
    if soft < least:
        problem = (
            f"this process may open {soft} files, and {sites} sites need {least}: some will have to"
            f" wait. Raise the limit: LimitNOFILE={least} in the systemd unit, or `ulimit -n"
            f" {least}` before `ecgfl coordinator serve`"
        )
    return OpenFiles(soft - RESERVE, problem)
