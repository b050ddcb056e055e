"""Define the messages between the coordinator and the sites; both sides check them.

A request is a `TrainRequest`, `EvaluateRequest` or `CatchUpRequest` in a signed envelope
(`signed_requests`), with the weights of the model. A reply carries the figures of `TrainReply`,
`EvaluateReply` or `CatchUpReply`, and after training the weights. The replies after a run's last
round and to a `CatchUpRequest` carry the site's verdict on that final model. Each reply also
carries the head of the site's audit log.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Annotated, Self, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from ecgfl_cli.federation.bounds import (
    LARGEST_BATCH,
    LARGEST_EPOCHS,
    LARGEST_LEARNING_RATE,
    LARGEST_PROXIMAL_MU,
    MOST_EXAMPLES,
)
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.manifest import LARGEST_LOSS, SignedManifest
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.site.audit import MOST_LINES, Head
from ecgfl_cli.site.outbox import Release, head_fields

EXAMPLES = "num-examples"
"""Name of the number of examples among the figures of a reply."""

AUDIT = "audit"
"""Name of the head of a site's audit log in messages about it."""

Figure = int | float | list[int] | list[float]
"""A figure of a reply."""


class Kind(StrEnum):
    """The kinds of messages."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    CATCH_UP = "query"


@dataclass(frozen=True)
class Content:
    """Content of a message.

    Attributes
    ----------
    texts
        Named texts: the envelope of a request and its signature.
    figures
        Figures of a reply.
    weights
        Weights of a model, shape (n,), float32; None if the message has none.
    audit
        Fields of the `AuditHead` of a reply; None if it has none.
    problem
        Why the figures or the weights cannot be read; None if they can.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    weights: NDArray[np.float32] | None = None
    audit: Mapping[str, Figure] | None = None
    problem: str | None = None


SCHEMA_BROKEN, POLICY_FORBIDS, UNTRUSTED, MODEL_UNACCEPTABLE, FAILED = 9004, 9005, 9006, 9007, 9001
"""The codes with which a site tells the coordinator that it refuses a request or has failed."""

SITE_GONE = 5
"""The code that takes the place of a reply if the session of the site has ended: Flower's
NODE_UNAVAILABLE.
"""

REFUSALS = (SCHEMA_BROKEN, POLICY_FORBIDS, UNTRUSTED, MODEL_UNACCEPTABLE)

VERDICTS: dict[int, VerdictCode] = dict(enumerate(get_args(VerdictCode), start=1))
"""A site's verdicts on a final model. They are sent as numbers, because Flower's metrics are
numbers: add, never renumber.
"""

REJECTIONS: tuple[VerdictCode, ...] = ("below-margin", "interval-below-zero", "unusable")

MOST_STEPS = 20
"""Largest number of release steps in a request."""

StepName = Annotated[str, Field(max_length=64)]
Count = Annotated[int, Field(ge=0, le=MOST_EXAMPLES)]
VerdictNumber = Annotated[int, Field(ge=1, le=len(VERDICTS))]
ByLogit = Annotated[list[Count], Field(min_length=COUNTS, max_length=COUNTS)]
Loss = Annotated[float, Field(ge=0, le=LARGEST_LOSS)]

SHARE_TOLERANCE = 1e-6
"""Largest difference between a reported share and the share of the reported counts. Both are
computed in double precision.
"""


WORDS = {
    SCHEMA_BROKEN: "it refused: a request that it does not understand",
    POLICY_FORBIDS: "it refused: its policy forbids it",
    UNTRUSTED: "it refused: a request whose signature, site, time or id is wrong (compare the clocks)",
    MODEL_UNACCEPTABLE: "it refused: a model that it does not accept",
    SITE_GONE: "gone before it answered",
}


def in_words(code: int) -> str:
    """What the code of an error says of the site."""
    return (
        WORDS[code] if code == SITE_GONE else f"{WORDS.get(code, 'it failed there')} (code {code})"
    )


class TrainRequest(StrictModel):
    """Request to train from a global model.

    Attributes
    ----------
    model
        The global model.
    epochs
        Passes over the training beats.
    learning_rate
        Of the optimiser.
    batch_size
        Beats of a step of the optimiser.
    seed
        Seed for shuffling, augmentation and dropout.
    proximal_mu
        Weight of FedProx's proximal term; 0 for none.
    steps
        Names of the release steps with two sides that the coordinator expects the site to apply.
    """

    model: SignedManifest
    epochs: Annotated[int, Field(ge=1, le=LARGEST_EPOCHS)]
    learning_rate: Annotated[float, Field(gt=0, le=LARGEST_LEARNING_RATE)]
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    proximal_mu: Annotated[float, Field(ge=0, le=LARGEST_PROXIMAL_MU)] = 0.0
    steps: Annotated[list[StepName], Field(max_length=MOST_STEPS)] = Field(default_factory=list)


class EvaluateRequest(StrictModel):
    """Measure this global model, and keep it."""

    model: SignedManifest


class CatchUpRequest(StrictModel):
    """Keep this final model of an earlier run, where it is news. Comes as a query, before any
    round.
    """

    model: SignedManifest


def _require_at_most(name: str, value: int | None, bound_name: str, bound: int) -> None:
    if value is not None and value > bound:
        raise ValueError(f"{name} {value} is more than {bound_name}, {bound}")


def _require_share(name: str, share: float | None, part: int, total: int | None) -> None:
    """Compare a share with the counts from which it is computed, if these are reported."""
    if share is None or total is None:
        return
    if not total or not math.isclose(share, part / total, abs_tol=SHARE_TOLERANCE):
        raise ValueError(f"{name} {share:.4g} is not that of the counts, {part} of {total}")


class TrainReply(StrictModel):
    """examples : labelled beats that were trained on. loss : of the last local epoch. A site may
    withhold pvcs and loss.
    """

    model_config = ConfigDict(populate_by_name=True)

    examples: Annotated[Count, Field(alias=EXAMPLES, ge=1)]
    pvcs: Count | None = None
    loss: Loss | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _require_at_most("pvcs", self.pvcs, "num-examples", self.examples)
        return self


class EvaluateReply(StrictModel):
    """Counts on the site's held-out patients. All but examples may be absent: sensitivity and
    precision where they are not defined, each where the site's policy withholds it.

    others_by_logit, pvcs_by_logit : beats by the network's logit, from which the coordinator
    calibrates the next model. verdict : the site's verdict, as its number in `VERDICTS`; only for a
    run's final model.
    """

    model_config = ConfigDict(populate_by_name=True)

    examples: Annotated[Count, Field(alias=EXAMPLES)]
    pvcs: Count | None = None
    true_positives: Count | None = None
    false_positives: Count | None = None
    loss: Loss | None = None
    sensitivity: Annotated[float, Field(ge=0, le=1)] | None = None
    precision: Annotated[float, Field(ge=0, le=1)] | None = None
    others_by_logit: ByLogit | None = None
    pvcs_by_logit: ByLogit | None = None
    verdict: VerdictNumber | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        pvcs = self.pvcs if self.pvcs_by_logit is None else sum(self.pvcs_by_logit)
        others = None if self.others_by_logit is None else sum(self.others_by_logit)
        differ = self.pvcs is not None and self.pvcs != pvcs
        if differ or (pvcs is not None and others is not None and pvcs + others != self.examples):
            raise ValueError("the counts by logit are not those of the examples")
        _require_at_most("pvcs", pvcs, "num-examples", self.examples)
        _require_at_most("the beats of others_by_logit", others, "num-examples", self.examples)
        most_pvcs = self.examples - (others or 0) if pvcs is None else pvcs
        most_others = self.examples - (pvcs or 0) if others is None else others
        _require_at_most("true_positives", self.true_positives, "pvcs", most_pvcs)
        _require_at_most(
            "false_positives", self.false_positives, "the beats that are no PVC", most_others
        )
        if self.true_positives is not None:
            _require_share("sensitivity", self.sensitivity, self.true_positives, pvcs)
            called = (
                None if self.false_positives is None else self.true_positives + self.false_positives
            )
            _require_share("precision", self.precision, self.true_positives, called)
        return self


class CatchUpReply(StrictModel):
    """verdict : the site's verdict on the model, as its number in `VERDICTS`; None if the site has
    not tested it.

    nonce : random number that makes each reply unique, because Flower's store merges equal parts of
    several sites.
    """

    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    verdict: VerdictNumber | None = None


class AuditHead(StrictModel):
    """The head of a site's audit log, without the line about this reply. hash : the 32 bytes of the
    last line's SHA-256.
    """

    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=32, max_length=32)]


Reply = TypeVar("Reply", TrainReply, EvaluateReply, CatchUpReply)


def verdict_number(code: VerdictCode) -> int:
    """Return the number of a verdict code in `VERDICTS`."""
    return next(number for number, each in VERDICTS.items() if each == code)


def figures_of(reply: TrainReply | EvaluateReply | CatchUpReply) -> dict[str, Figure]:
    """Return the figures of a reply by the names that they have in messages."""
    return reply.model_dump(by_alias=True, exclude_none=True)


def with_audit_head(content: Content, head: Head) -> Content:
    """Add the head of this site's audit log to a reply."""
    return replace(content, audit=head_fields(head))


def content_of_release(release: Release) -> Content:
    """Return the content of the message with which a site sends a release."""
    content = Content(figures=release.figures, weights=release.weights)
    return content if release.head is None else with_audit_head(content, release.head)


def audit_head_of(content: Content) -> Head | None:
    """Return the head of the site's audit log in a reply; None if the reply has none.

    Raises
    ------
    ValueError
        If a field is wrong; the error names it.
    """
    if content.audit is None:
        return None
    try:
        received = AuditHead.model_validate(dict(content.audit))
    except ValidationError as error:
        raise ValueError(f"{AUDIT}.{first_fault(error)}") from error
    return Head(received.lines, bytes(received.hash).hex())


def read_reply(content: Content, schema: type[Reply]) -> Reply:
    """Check the figures of a reply.

    Raises
    ------
    ValueError
        If a field is wrong; the error names it.
    """
    if content.problem is not None:
        raise ValueError(content.problem)
    try:
        return schema.model_validate(dict(content.figures))
    except ValidationError as error:
        raise ValueError(str(first_fault(error))) from error


def weights_of(content: Content) -> NDArray[np.float32]:
    """Return the weights of a message, shape (n,).

    Raises
    ------
    ValueError
        If the message has no weights, or they cannot be read.
    """
    if content.problem is not None:
        raise ValueError(content.problem)
    if content.weights is None:
        raise ValueError("a message without weights")
    return content.weights
