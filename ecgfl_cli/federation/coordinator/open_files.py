"""Compute how many connections the coordinator may open. The operating system limits a process's file handles, often to 1,024."""

import sys
from dataclasses import dataclass

from ecgfl_cli.federation.flower.connections import MOST_OF_A_SITE, MOST_STRANGERS, MOST_WAITING

RESERVE = 200 + MOST_WAITING
"""File handles for everything else: models, reports, the audit log, libraries."""

USUAL_OF_A_SITE = 4
"""Usual connections of a site: one that waits for messages, one for the heartbeat, and two for the parts of a message."""


@dataclass(frozen=True)
class OpenFiles:
    """connections : how many may be open at a time. problem : a message if that is too few for the enrolled sites."""

    connections: int
    problem: str | None = None


def allow_connections(sites: int) -> OpenFiles:
    """Raise the process's limit on open files as far as `sites` enrolled sites need it, and return what it allows.

    Windows has no such limit.
    """
    wanted = RESERVE + MOST_STRANGERS + MOST_OF_A_SITE * max(sites, 1)
    if sys.platform == "win32":
        return OpenFiles(wanted - RESERVE)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return OpenFiles(wanted - RESERVE)
    least = RESERVE + MOST_STRANGERS + USUAL_OF_A_SITE * sites
    problem = None
    if soft < least:
        problem = (
            f"this process may open {soft} files, and {sites} sites need {least}: some will have to wait. Raise the limit:"
            f" LimitNOFILE={least} in the systemd unit, or `ulimit -n {least}` before `ecgfl coordinator serve`"
        )
    return OpenFiles(soft - RESERVE, problem)
