"""What the sites report of a round, added up. A site may keep any of its figures to itself: each sum is over those who told."""

from collections.abc import Sequence

import numpy as np
from flwr.app import Message, MetricRecord
from numpy.typing import NDArray

from ecgfl_cli.federation.wire import EXAMPLES, METRICS, EvaluateReply, TrainReply
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.manifest import Metrics


def mean_loss(replies: Sequence[TrainReply | EvaluateReply]) -> float | None:
    """Over the examples of the sites that report it; None where none does."""
    told = [(reply.loss, reply.examples) for reply in replies if reply.loss is not None and reply.examples]
    return sum(loss * examples for loss, examples in told) / sum(examples for _, examples in told) if told else None


def gross(replies: Sequence[EvaluateReply]) -> Metrics | None:
    """The sites' counts added up: a site's own sensitivity says nothing where it has three PVCs.

    beats and pvcs are those behind sensitivity and precision: of the sites that report all three counts.
    """
    told = [
        (reply.examples, reply.pvcs, reply.true_positives, reply.false_positives)
        for reply in replies
        if reply.pvcs is not None and reply.true_positives is not None and reply.false_positives is not None
    ]
    beats, pvcs, found, false = (sum(column) for column in zip((0, 0, 0, 0), *told, strict=True))
    loss = mean_loss(replies)
    if not beats and loss is None:
        return None
    return Metrics(
        beats=beats,
        pvcs=pvcs,
        loss=loss,
        sensitivity=min(found / pvcs, 1.0) if pvcs else None,
        precision=found / (found + false) if found + false else None,
    )


def by_logit(replies: Sequence[EvaluateReply]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Other beats and PVCs by logit, each of shape (COUNTS,), of the sites that report both."""
    others, pvcs = np.zeros(COUNTS, np.int64), np.zeros(COUNTS, np.int64)
    for reply in replies:
        if reply.others_by_logit is not None and reply.pvcs_by_logit is not None:
            others, pvcs = others + reply.others_by_logit, pvcs + reply.pvcs_by_logit
    return others, pvcs


def alike(message: Message, reply: TrainReply) -> Message:
    """The message with its weight alone beside the arrays: Flower ends a run whose sites report different figures."""
    message.content[METRICS] = MetricRecord({EXAMPLES: reply.examples})
    return message
