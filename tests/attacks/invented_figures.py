"""Figures that a dishonest site invents."""

import numpy as np

from ecgfl_cli.federation.messages import EvaluateReply, Figure, figures_of
from ecgfl_cli.models.calibration import counted

CLAIMED = 5_000_000
"""Number of beats of a class: with both classes, the most that the coordinator accepts."""


def perfect(others: float, pvcs: float) -> dict[str, Figure]:
    """Return the figures of ten million beats without an error.

    All PVCs have one logit, and all other beats another.
    """
    return figures_of(
        EvaluateReply(
            examples=2 * CLAIMED,
            pvcs=CLAIMED,
            true_positives=CLAIMED,
            false_positives=0,
            loss=0.0,
            sensitivity=1.0,
            precision=1.0,
            others_by_logit=(counted(np.float32([others])) * CLAIMED).tolist(),
            pvcs_by_logit=(counted(np.float32([pvcs])) * CLAIMED).tolist(),
        )
    )
