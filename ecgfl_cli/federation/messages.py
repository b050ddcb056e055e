"""Define and check the messages between the coordinator and the sites.

A request is a `TrainRequest`, `EvaluateRequest` or `CatchUpRequest` in a signed envelope (see
`signed_requests`), together with the weights of the model. A reply carries the figures of a
`TrainReply`, `EvaluateReply` or `CatchUpReply`, the head of the site's audit log and, after
training, the weights. An `EvaluateReply` about a run's final model and a `CatchUpReply` also carry
the site's verdict on the model.
"""

import hashlib
import json
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
from ecgfl_cli.federation.secagg.stages import MaskedTraining
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.manifest import LARGEST_LOSS, SignedManifest
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.site.audit import MOST_LINES, Head
from ecgfl_cli.site.outbox import Release, head_fields
from ecgfl_cli.site.privacy_policy import PrivacyDemand

EXAMPLES = "num-examples"
"""Name, among the figures of a reply, of the number of examples."""

AUDIT = "audit"
"""Prefix of the names of the audit head's fields in error messages and in the dry run."""

Figure = int | float | list[int] | list[float]
"""A figure of a reply."""


class Kind(StrEnum):
    """The kinds of messages."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    CATCH_UP = "query"
    KEYS = "train.keys"
    SHARES = "train.shares"
    SURVIVORS = "train.survivors"
    UNMASK = "train.unmask"


@dataclass(frozen=True)
class Content:
    """Content of a message.

    Attributes
    ----------
    texts
        Texts by name: the envelope and the signature of a request, or the reply of a stage of
        secure aggregation.
    figures
        Figures of a reply by name.
    weights
        Weights of a model, shape (n,), float32; None if the message has none.
    masked
        Masked update of secure aggregation, shape (n,), uint32; None if the message has none.
    audit
        Fields of the `AuditHead` of a reply; None if it has none.
    problem
        Why the figures or the weights cannot be read; None if they can.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    weights: NDArray[np.float32] | None = None
    masked: NDArray[np.uint32] | None = None
    audit: Mapping[str, Figure] | None = None
    problem: str | None = None


FAILED = 9001
"""Code of a reply: the site failed to do what the request asks for."""

SCHEMA_BROKEN = 9004
"""Code of a reply: the site does not understand the request."""

POLICY_FORBIDS = 9005
"""Code of a reply: the site's policy does not allow the request."""

UNTRUSTED = 9006
"""Code of a reply: the signature, site, time or id of the request is wrong."""

MODEL_UNACCEPTABLE = 9007
"""Code of a reply: the site does not accept the model."""

SITE_GONE = 5
"""Code in place of a reply if the site's session has ended. It is Flower's NODE_UNAVAILABLE."""

REFUSALS = (SCHEMA_BROKEN, POLICY_FORBIDS, UNTRUSTED, MODEL_UNACCEPTABLE)
"""Codes with which a site refuses a request."""

VERDICTS: dict[int, VerdictCode] = dict(enumerate(get_args(VerdictCode), start=1))
"""Number -> a site's verdict on a final model. Messages carry the number, because Flower's metrics
are numbers. New verdicts get new numbers; existing numbers never change.
"""

REJECTIONS: tuple[VerdictCode, ...] = ("below-margin", "interval-below-zero", "unusable")
"""Verdicts with which a site rejects a final model."""

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

ERROR_TEXTS = {
    SCHEMA_BROKEN: "it refused: it does not understand the request",
    POLICY_FORBIDS: "it refused: its policy forbids it",
    UNTRUSTED: (
        "it refused: the signature, site, time or id of the request is wrong (compare the clocks)"
    ),
    MODEL_UNACCEPTABLE: "it refused: it does not accept the model",
    SITE_GONE: "it disconnected before it replied",
}
"""Code of an error -> what happened at the site."""


def in_words(code: int) -> str:
    """Return what happened at a site that answered with the code of an error."""
    if code == SITE_GONE:
        return ERROR_TEXTS[code]
    return f"{ERROR_TEXTS.get(code, 'it failed')} (code {code})"


class TrainRequest(StrictModel):
    """Request to train from a global model.

    Attributes
    ----------
    model
        The global model.
    epochs
        Passes over the training beats.
    learning_rate
        Learning rate of the optimiser.
    batch_size
        Beats in each step of the optimiser.
    seed
        Seed for shuffling, augmentation and dropout.
    proximal_mu
        Weight of FedProx's proximal term; 0 for none.
    steps
        Names of the release steps with a site side and a coordinator side that the coordinator
        expects the site to apply.
    secagg
        The peers' shares, if the update is masked for secure aggregation; None otherwise.
    privacy
        Least protection by differential privacy; None to leave it to the sites.
    """

    model: SignedManifest
    epochs: Annotated[int, Field(ge=1, le=LARGEST_EPOCHS)]
    learning_rate: Annotated[float, Field(gt=0, le=LARGEST_LEARNING_RATE)]
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    proximal_mu: Annotated[float, Field(ge=0, le=LARGEST_PROXIMAL_MU)] = 0.0
    steps: Annotated[list[StepName], Field(max_length=MOST_STEPS)] = Field(default_factory=list)
    secagg: MaskedTraining | None = None
    privacy: PrivacyDemand | None = None

    @property
    def plan_sha256(self) -> str:
        """SHA-256 of the settings of the training, on which the sites of a round agree."""
        settings = self.model_dump(exclude={"model", "secagg"})
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class EvaluateRequest(StrictModel):
    """Request to measure a global model and to keep it.

    Attributes
    ----------
    model
        The global model.
    """

    model: SignedManifest


class CatchUpRequest(StrictModel):
    """Request to keep the final model of an earlier run if the site does not have it yet.

    The coordinator sends it before the first round, as a query.

    Attributes
    ----------
    model
        The final model.
    """

    model: SignedManifest


def _require_at_most(name: str, value: int | None, bound_name: str, bound: int) -> None:
    if value is not None and value > bound:
        raise ValueError(f"{name} {value} is more than {bound_name}, {bound}")


def _require_share(name: str, share: float | None, part: int, total: int | None) -> None:
    """Check a reported share against the counts from which it is computed, if both are reported."""
    if share is None or total is None:
        return
    if not total or not math.isclose(share, part / total, abs_tol=SHARE_TOLERANCE):
        raise ValueError(f"{name} {share:.4g} is not that of the counts, {part} of {total}")


class TrainReply(StrictModel):
    """Figures of a site's training.

    Attributes
    ----------
    examples
        Number of labelled beats in the training.
    pvcs
        Number of PVCs among them; None if the site withholds it.
    loss
        Mean loss in the last local epoch; None if the site withholds it.
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
    """Figures of a model on a site's held-out patients.

    Every figure except `examples` is None if the site's policy withholds it.

    Attributes
    ----------
    examples
        Number of labelled beats.
    pvcs
        Number of PVCs among them.
    true_positives
        Number of PVCs that the model called V.
    false_positives
        Number of other beats that the model called V.
    loss
        Mean log loss.
    sensitivity
        Share of the PVCs that the model called V, from 0 to 1; None if there are no PVCs.
    precision
        Share of PVCs among the beats that the model called V, from 0 to 1; None if there are none.
    others_by_logit
        Number of beats other than PVCs in each bin of the network's logit. The coordinator
        calibrates the next model with these counts.
    pvcs_by_logit
        Number of PVCs in each bin of the network's logit.
    verdict
        Number in `VERDICTS` of the site's verdict on a run's final model; None for other models.
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
        if self.pvcs is not None and self.pvcs != pvcs:
            raise ValueError(
                "the counts by logit are not those of the examples: pvcs_by_logit adds up to "
                f"{pvcs}, pvcs is {self.pvcs}"
            )
        if pvcs is not None and others is not None and pvcs + others != self.examples:
            raise ValueError(
                f"the counts by logit are not those of the examples: {pvcs} PVCs and {others} "
                f"other beats, num-examples is {self.examples}"
            )
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
    """Reply to a `CatchUpRequest`.

    Attributes
    ----------
    nonce
        Random number that makes each reply unique, because Flower's store merges equal parts of
        the replies of several sites.
    verdict
        Number in `VERDICTS` of the site's verdict on the model; None if the site has not tested
        it.
    """

    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    verdict: VerdictNumber | None = None


class AuditHead(StrictModel):
    """Head of a site's audit log before the line about this reply.

    Attributes
    ----------
    lines
        Number of lines in the log.
    hash
        SHA-256 of the last line, as 32 numbers from 0 to 255.
    """

    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=32, max_length=32)]


Reply = TypeVar("Reply", TrainReply, EvaluateReply, CatchUpReply)


def verdict_number(code: VerdictCode) -> int:
    """Return the number of a verdict code in `VERDICTS`."""
    return next(number for number, verdict in VERDICTS.items() if verdict == code)


def figures_of(reply: TrainReply | EvaluateReply | CatchUpReply) -> dict[str, Figure]:
    """Return the figures of a reply, keyed by their names in messages."""
    return reply.model_dump(by_alias=True, exclude_none=True)


def with_audit_head(content: Content, head: Head) -> Content:
    """Return a reply with the head of this site's audit log added."""
    return replace(content, audit=head_fields(head))


def content_of_release(release: Release) -> Content:
    """Return the content of the message with which a site sends a release."""
    content = Content(release.texts, release.figures, release.weights, release.masked)
    return content if release.head is None else with_audit_head(content, release.head)


def audit_head_of(content: Content) -> Head | None:
    """Return the head of the site's audit log that a reply carries; None if it carries none.

    Raises
    ------
    ValueError
        If a field is invalid; the error names it.
    """
    if content.audit is None:
        return None
    try:
        received = AuditHead.model_validate(dict(content.audit))
    except ValidationError as error:
        raise ValueError(f"{AUDIT}.{first_fault(error)}") from error
    return Head(received.lines, bytes(received.hash).hex())


def read_reply(content: Content, schema: type[Reply]) -> Reply:
    """Return the checked figures of a reply.

    Parameters
    ----------
    content
        Content of the reply.
    schema
        Class of the reply that belongs to the request.

    Raises
    ------
    ValueError
        If a field is invalid; the error names it.
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
        raise ValueError("the message contains no weights")
    return content.weights


def masked_of(content: Content) -> NDArray[np.uint32]:
    """Return the masked update of a message, shape (n,).

    Raises
    ------
    ValueError
        If the message has no masked update, or it cannot be read.
    """
    if content.problem is not None:
        raise ValueError(content.problem)
    if content.masked is None:
        raise ValueError("the message contains no masked update")
    return content.masked
