"""What coordinator and site say to each other inside Flower's messages, checked on both sides.

A request is a `TrainRequest`, `EvaluateRequest` or `CatchUpRequest` in a signed envelope (`signed_requests`) in the config
record; the weights are the one array FLAT of the array record ARRAYS. A reply carries the numbers of `TrainReply` or
`EvaluateReply` as metrics, and after training the weights in the same place. The replies after a run's last round and to a
`CatchUpRequest` carry the site's verdict on that final model. Each reply also carries the head of the site's audit log, as the
numbers of `AuditHead` in a separate metric record, AUDIT.
"""

import math
from collections.abc import Collection
from io import BytesIO
from typing import Annotated, Self, TypeVar, get_args

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError, model_validator

from ecgfl_cli.federation.bounds import (
    LARGEST_BATCH,
    LARGEST_EPOCHS,
    LARGEST_LEARNING_RATE,
    LARGEST_PROXIMAL_MU,
    MOST_EXAMPLES,
)
from ecgfl_cli.federation.flower import NODE_GONE
from ecgfl_cli.models.calibration import COUNTS
from ecgfl_cli.models.manifest import LARGEST_LOSS, SignedManifest
from ecgfl_cli.models.verdicts import VerdictCode
from ecgfl_cli.schemas import StrictModel, first_fault
from ecgfl_cli.site.audit import MOST_LINES, Head

ARRAYS, FLAT, CONFIG, METRICS, AUDIT = "arrays", "flat", "config", "metrics", "audit"
EXAMPLES = "num-examples"
STYPE = "numpy.ndarray"
FLOAT32, HEADER_BYTES = np.dtype("<f4"), 128
"""Weights as they travel: little-endian, behind the header of numpy's format 1.0."""

SCHEMA_BROKEN, POLICY_FORBIDS, UNTRUSTED, MODEL_UNACCEPTABLE, FAILED = 9004, 9005, 9006, 9007, 9001
"""All that a coordinator is told of a refusal or a failure at a site."""

REFUSALS = (SCHEMA_BROKEN, POLICY_FORBIDS, UNTRUSTED, MODEL_UNACCEPTABLE)

VERDICTS: dict[int, VerdictCode] = dict(enumerate(get_args(VerdictCode), start=1))
"""A site's verdicts on a final model. They are sent as numbers, because Flower's metrics are numbers: add, never renumber."""

REJECTIONS: tuple[VerdictCode, ...] = ("below-margin", "interval-below-zero", "unusable")

Count = Annotated[int, Field(ge=0, le=MOST_EXAMPLES)]
VerdictNumber = Annotated[int, Field(ge=1, le=len(VERDICTS))]
ByLogit = Annotated[list[Count], Field(min_length=COUNTS, max_length=COUNTS)]
Loss = Annotated[float, Field(ge=0, le=LARGEST_LOSS)]

SHARE_TOLERANCE = 1e-6
"""Largest difference between a reported share and the share of the reported counts. Both are computed in double precision."""


WORDS = {
    SCHEMA_BROKEN: "it refused: a request that it does not understand",
    POLICY_FORBIDS: "it refused: its policy forbids it",
    UNTRUSTED: "it refused: a request whose signature, site, time or id is wrong (compare the clocks)",
    MODEL_UNACCEPTABLE: "it refused: a model that it does not accept",
    NODE_GONE: "gone before it answered",
}


def in_words(code: int) -> str:
    """What the code of an error says of the site."""
    return (
        WORDS[code] if code == NODE_GONE else f"{WORDS.get(code, 'it failed there')} (code {code})"
    )


class TrainRequest(StrictModel):
    """Train from this global model. proximal_mu : weight of FedProx's proximal term, 0 for none."""

    model: SignedManifest
    epochs: Annotated[int, Field(ge=1, le=LARGEST_EPOCHS)]
    learning_rate: Annotated[float, Field(gt=0, le=LARGEST_LEARNING_RATE)]
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    proximal_mu: Annotated[float, Field(ge=0, le=LARGEST_PROXIMAL_MU)] = 0.0


class EvaluateRequest(StrictModel):
    """Measure this global model, and keep it."""

    model: SignedManifest


class CatchUpRequest(StrictModel):
    """Keep this final model of an earlier run, where it is news. Comes as a query, before any round."""

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
    """examples : labelled beats that were trained on. loss : of the last local epoch. A site may withhold pvcs and loss."""

    model_config = ConfigDict(populate_by_name=True)

    examples: Annotated[Count, Field(alias=EXAMPLES, ge=1)]
    pvcs: Count | None = None
    loss: Loss | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _require_at_most("pvcs", self.pvcs, "num-examples", self.examples)
        return self


class EvaluateReply(StrictModel):
    """Counts on the site's held-out patients. All but examples may be absent: sensitivity and precision where they are not
    defined, each where the site's policy withholds it.

    others_by_logit, pvcs_by_logit : beats by the network's logit, from which the coordinator calibrates the next model.
    verdict : the site's verdict, as its number in `VERDICTS`; only for a run's final model.
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
    """verdict : the site's verdict on the model, as its number in `VERDICTS`; None if the site has not tested it.

    nonce : random number that makes each reply unique, because Flower's store merges equal parts of several sites.
    """

    nonce: Annotated[int, Field(ge=0, lt=2**63)]
    verdict: VerdictNumber | None = None


class AuditHead(StrictModel):
    """The head of a site's audit log, without the line about this reply. hash : the 32 bytes of the last line's SHA-256."""

    lines: Annotated[int, Field(ge=0, le=MOST_LINES)]
    hash: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=32, max_length=32)]


Reply = TypeVar("Reply", TrainReply, EvaluateReply, CatchUpReply)


def verdict_number(code: VerdictCode) -> int:
    """Return the number of a verdict code in `VERDICTS`."""
    return next(number for number, each in VERDICTS.items() if each == code)


def weights_record(vector: NDArray[np.float32]) -> ArrayRecord:
    return ArrayRecord({FLAT: Array(vector)})


def reply_content(
    reply: TrainReply | EvaluateReply | CatchUpReply,
    weights: ArrayRecord | None = None,
    withheld: Collection[str] = (),
) -> RecordDict:
    """Only what the schema names leaves the site, and of that not what is withheld."""
    figures = reply.model_dump(by_alias=True, exclude_none=True, exclude=set(withheld))
    content = RecordDict({METRICS: MetricRecord(figures)})
    if weights is not None:
        content[ARRAYS] = weights
    return content


def add_audit_head(content: RecordDict, head: Head) -> None:
    """Add the head of this site's audit log to a reply."""
    content[AUDIT] = MetricRecord(
        AuditHead(lines=head.lines, hash=list(bytes.fromhex(head.hash))).model_dump()
    )


def take_audit_head(message: Message) -> Head | None:
    """Remove the head of the site's audit log from a reply and return it; None if it carries none.

    Raises `ValueError` saying which field is wrong.
    """
    if AUDIT not in message.content.metric_records:
        return None
    record = dict(message.content.metric_records[AUDIT])
    del message.content[AUDIT]
    try:
        found = AuditHead.model_validate(record)
    except ValidationError as error:
        raise ValueError(f"{AUDIT}.{first_fault(error)}") from error
    return Head(found.lines, bytes(found.hash).hex())


def read_reply(message: Message, kind: type[Reply]) -> Reply:
    """Raises `ValueError` saying which field is wrong."""
    try:
        if set(message.content.metric_records) != {METRICS}:
            raise ValueError(f"metric records {sorted(message.content.metric_records)}")
        return kind.model_validate(dict(message.content.metric_records[METRICS]))
    except ValidationError as error:
        raise ValueError(str(first_fault(error))) from error


def weights_of(message: Message) -> NDArray[np.float32]:
    """The one flat float32 vector of a message. Raises `ValueError` when there is anything else."""
    records = message.content.array_records
    if set(records) != {ARRAYS} or set(records[ARRAYS]) != {FLAT}:
        raise ValueError(
            f"expected one array {ARRAYS}/{FLAT}, got {[(name, list(record)) for name, record in records.items()]}"
        )
    array = records[ARRAYS][FLAT]
    if array.stype != STYPE:
        raise ValueError(f"array of kind {array.stype!r}")
    # Compared, not parsed: numpy evaluates a header as Python does, with whatever errors and memory that takes.
    length, rest = divmod(len(array.data) - HEADER_BYTES, FLOAT32.itemsize)
    if length < 0 or rest or array.data[:HEADER_BYTES] != _header(length):
        raise ValueError(
            f"expected a flat float32 vector in numpy's format, got {len(array.data)} bytes of something else"
        )
    return np.frombuffer(array.data, dtype=FLOAT32, offset=HEADER_BYTES).astype(np.float32)


def _header(length: int) -> bytes:
    """What `numpy.save` writes before a float32 vector of this length."""
    header = BytesIO()
    npy.write_array_header_1_0(
        header, {"descr": FLOAT32.str, "fortran_order": False, "shape": (length,)}
    )
    return header.getvalue()
