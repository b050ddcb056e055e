"""How much a process lets others go first."""

import os


def give_way(niceness: int) -> bool:
    """Raise this process's niceness to `niceness`; one that is higher already stays. False where the system has no niceness."""
    if not hasattr(os, "nice"):
        return niceness == 0
    os.nice(max(0, niceness - os.nice(0)))
    return True
