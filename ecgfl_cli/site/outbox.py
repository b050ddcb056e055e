"""Send everything that leaves the site: the only exit.

Whatever a site sends to the coordinator is a `Release`. The outbox applies the site's release
steps, writes a line to the audit log, and only then sends the release.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.site.audit import AuditLog, Head

LONGEST_REASON = 1000
"""Characters of a refusal's reason in the audit log, because it may quote what the server sent."""

REFUSED = "refused"
"""Kind of a release that holds a code only."""


@dataclass(frozen=True)
class Release:
    """Something that leaves the site.

    Attributes
    ----------
    kind
        Kind of the request that it answers, or `REFUSED`.
    figures
        Figures by name.
    weights
        Weights of a model, shape (n,); None if none leave.
    code
        Code of a refusal or failure; None for a reply.
    withheld
        Names of the figures that the policy withholds. A release step removes them.
    start
        The global weights from which `weights` were trained, shape (n,), for release steps. They
        are not sent.
    head
        Head of the audit log that accompanies the release; the outbox adds it.
    """

    kind: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    weights: NDArray[np.float32] | None = None
    code: int | None = None
    withheld: Collection[str] = ()
    start: NDArray[np.float32] | None = None
    head: Head | None = None


class SiteStep(Protocol):
    """Site side of a release step."""

    def shape(self, release: Release) -> Release:
        """Return the release as it may leave the site."""
        ...


class Packed(Protocol):
    """A release as it goes over the network."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        ...


class Exit(Protocol):
    """Encodes and sends releases."""

    def pack(self, release: Release, to: Any) -> Packed:
        """Encode a release as the reply to a request."""
        ...

    def send(self, packed: Any) -> bool:
        """Send it. Return False if the receiver does not wait for it any more."""
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
        Shape each release, one after the other.
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
            What leaves the site.
        to
            The request that it answers.
        run
            Identifier of the run, for the audit log.

        Returns
        -------
        bool
            False if the coordinator does not wait for the reply any more.
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
        """Send the code of a refusal. The reason stays in the audit log of this site."""
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
    """Apply the release steps to a release, and add the head of the audit log."""
    for step in steps:
        release = step.shape(release)
    return replace(release, head=head)


def _recorded(release: Release) -> dict[str, dict[str, Any]]:
    """Return what the audit log records of a release: every number except the weights."""
    head = {} if release.head is None else {"audit": head_fields(release.head)}
    return {"metrics": dict(release.figures), **head}


def head_fields(head: Head) -> dict[str, int | list[int]]:
    """Return the head of the audit log as numbers: Flower's messages carry no text here."""
    return {"lines": head.lines, "hash": list(bytes.fromhex(head.hash))}
