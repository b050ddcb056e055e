"""Send everything that leaves the site.

Everything that a site sends to the coordinator is a `Release` and passes through the `Outbox`. The
outbox applies the site's release steps, writes a line to the audit log, and then sends the release.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.site.audit import AuditLog, Head

LONGEST_REASON = 1000
"""Largest number of characters of a refusal's reason in the audit log. The reason may quote text
from the server, which may be long."""

REFUSED = "refused"
"""Kind of a release that contains only a code."""


class Masks(Protocol):
    """Masks of secure aggregation for one update of this site."""

    def applied(
        self, change: NDArray[np.float64], start: NDArray[np.float32]
    ) -> NDArray[np.uint32]:
        """Return a change of the global weights with the masks, shape (n,)."""
        ...


@dataclass(frozen=True)
class Release:
    """Data that leaves the site in one message.

    Attributes
    ----------
    kind
        Kind of the request that the release answers, or `REFUSED`.
    figures
        Figures by name.
    weights
        Weights of a model, shape (n,), float32; None if the release has none.
    masked
        Masked update, shape (n,), uint32, which a release step makes of the weights; None if the
        release has none.
    texts
        Texts by name: the reply of a stage of secure aggregation.
    code
        Code of a refusal or failure; None for a reply.
    withheld
        Names of the figures that the policy withholds. A release step removes them.
    start
        Global weights from which `weights` were trained, shape (n,), float32. Release steps use
        them; they are not sent.
    masks
        Masks for the update, if the coordinator has asked for a masked one; not sent.
    head
        Head of the audit log. The outbox adds it; a simulation has none.
    """

    kind: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    weights: NDArray[np.float32] | None = None
    masked: NDArray[np.uint32] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None
    withheld: Collection[str] = ()
    start: NDArray[np.float32] | None = None
    masks: Masks | None = None
    head: Head | None = None


class SiteStep(Protocol):
    """Site side of a release step."""

    def shape(self, release: Release) -> Release:
        """Return the release in the form in which it may leave the site."""
        ...


class Packed(Protocol):
    """A release in the form in which it is sent over the network."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        ...


class Exit(Protocol):
    """Encodes and sends releases; implemented by the transport."""

    def pack(self, release: Release, to: Any) -> Packed:
        """Encode a release as the reply to a request."""
        ...

    def send(self, packed: Any) -> bool:
        """Send an encoded release. Return False if the receiver no longer waits for it."""
        ...


class Outbox:
    """Sends the releases of one site.

    Parameters
    ----------
    audit
        Audit log of the site.
    exit
        Encodes and sends the releases.
    steps
        Release steps, in the order in which they are applied.
    """

    def __init__(self, audit: AuditLog, exit: Exit, steps: Sequence[SiteStep]) -> None:
        self._audit = audit
        self._exit = exit
        self._steps = steps

    def send(self, release: Release, to: Any, run: str | None) -> bool:
        """Send a reply.

        Parameters
        ----------
        release
            The reply, before the release steps.
        to
            The request that the release answers.
        run
            Identifier of the run, for the audit log.

        Returns
        -------
        bool
            False if the coordinator no longer waits for the reply.
        """
        permitted = prepared(release, self._steps, self._audit.last())
        packed = self._exit.pack(permitted, to)
        self._audit.append(
            "send",
            kind=permitted.kind,
            run=run,
            bytes=packed.size,
            sha256=packed.sha256,
            metrics=_recorded(permitted),
        )
        return self._exit.send(packed)

    def refuse(self, code: int, reason: str, to: Any) -> None:
        """Send the code of a refusal or failure, and log its reason.

        Parameters
        ----------
        code
            The code; see `federation.messages`.
        reason
            Why the site refuses or failed. It is written to the audit log and is not sent.
        to
            The request that is refused.
        """
        packed = self._exit.pack(Release(REFUSED, code=code), to)
        self._audit.append(
            "refused",
            code=code,
            reason=reason[:LONGEST_REASON],
            bytes=packed.size,
            sha256=packed.sha256,
        )
        self._exit.send(packed)


def prepared(release: Release, steps: Sequence[SiteStep], head: Head | None) -> Release:
    """Return a release after the release steps, with the head of the audit log added."""
    for step in steps:
        release = step.shape(release)
    if release.withheld:
        raise ValueError(f"no release step withholds {sorted(release.withheld)}: nothing is sent")
    if release.masks is not None:
        raise ValueError("no release step has applied the masks: nothing is sent")
    return replace(release, head=head)


def _recorded(release: Release) -> dict[str, dict[str, Any]]:
    """Return the numbers of a release that the audit log records: all except the weights."""
    head = {} if release.head is None else {"audit": head_fields(release.head)}
    return {"metrics": dict(release.figures), **head}


def head_fields(head: Head) -> dict[str, int | list[int]]:
    """Return the head of the audit log as numbers, because Flower's metrics cannot be text."""
    return {"lines": head.lines, "hash": list(bytes.fromhex(head.hash))}
