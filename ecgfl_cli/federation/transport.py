"""Define how messages travel between the coordinator and the sites.

`flower.superlink` implements `CoordinatorTransport` and `flower.fleet` implements `SiteTransport`,
both over Flower's Fleet API. `simulation.ray_engine` implements `CoordinatorTransport` over
Flower's simulation engine. In memory, for tests, `InMemoryTransport` implements it with functions
as sites, and `InMemorySite` implements `SiteTransport`.
"""

import hashlib
import json
import queue
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ecgfl_cli.federation.messages import SITE_GONE, Content, Kind, content_of_release
from ecgfl_cli.site.outbox import Exit, Release


@dataclass(frozen=True)
class Request:
    """A request to a site.

    Attributes
    ----------
    node
        Number of the site's session in this run.
    kind
        Kind of the request.
    content
        Content of the request.
    """

    node: int
    kind: Kind
    content: Content


@dataclass(frozen=True)
class Reply:
    """The reply of a site to a request.

    Attributes
    ----------
    node
        Number of the site's session in this run.
    content
        Content of the reply; empty if the site refused or failed.
    error
        Code of the refusal or failure; None if there is none.
    """

    node: int
    content: Content
    error: int | None = None


class CoordinatorTransport(Protocol):
    """Coordinator's side of the transport: carries the messages of one run."""

    def ask(self, requests: Sequence[Request], timeout: float | None) -> list[Reply]:
        """Send requests and wait for the replies.

        Parameters
        ----------
        requests
            The requests; at most one for each node.
        timeout
            Longest time to wait, in seconds; None for no limit.

        Returns
        -------
        list of Reply
            The replies that arrived in time. Sites that did not reply are missing.
        """
        ...

    def send(self, request: Request) -> str:
        """Send one request without waiting, and return its id for `collect`."""
        ...

    def collect(self, ids: set[str]) -> dict[str, Reply]:
        """Return the replies that have arrived, keyed by the ids of their requests.

        Parameters
        ----------
        ids
            Ids of the requests. The ids of the returned replies are removed from this set, and
            also the ids of requests to which no reply can arrive any more.
        """
        ...


class Offer(Protocol):
    """A request that the coordinator has announced to this site and that can be fetched."""

    @property
    def run_id(self) -> int:
        """Number of the run."""
        ...

    @property
    def kind(self) -> str:
        """Kind of the request, not checked yet."""
        ...


@dataclass(frozen=True)
class Delivered:
    """A request that has arrived at a site.

    Attributes
    ----------
    kind
        Kind of the request, not checked yet.
    content
        Content of the request.
    origin
        Data that the transport needs to address the reply.
    """

    kind: str
    content: Content
    origin: Any


class SiteTransport(Exit, Protocol):
    """Site's side of the transport: carries the messages of one session."""

    @property
    def was_delayed(self) -> bool:
        """Whether the coordinator delayed its last answer until there was a message."""
        ...

    def receive(self, patience: float) -> Offer | None:
        """Return the next announced request; None if there is none within `patience` seconds."""
        ...

    def fetch(self, offer: Any) -> Delivered | None:
        """Fetch an announced request; None if the coordinator has withdrawn it."""
        ...

    def is_ours(self, run_id: int) -> bool:
        """Return whether a run belongs to an ecgfl coordinator.

        Raises
        ------
        RunOver
            If the coordinator has closed the run.
        """
        ...


class RunOver(Exception):
    """Raised when the coordinator has closed the run."""


class InMemoryTransport:
    """Coordinator's side of a transport to sites that are functions in the same process.

    Parameters
    ----------
    sites
        Node -> its site. The function returns the content of the reply, the code of an error, or
        None for no reply.
    """

    def __init__(self, sites: Mapping[int, Callable[[Request], Content | int | None]]) -> None:
        self._sites = sites
        self._sent: dict[str, Request] = {}

    def ask(self, requests: Sequence[Request], timeout: float | None) -> list[Reply]:  # noqa: ARG002
        """Call the sites one after the other."""
        return self._answers(requests)

    def send(self, request: Request) -> str:
        """Store the request until `collect` is called."""
        request_id = str(len(self._sent))
        self._sent[request_id] = request
        return request_id

    def collect(self, ids: set[str]) -> dict[str, Reply]:
        """Call the sites of these requests."""
        arrived = {
            request_id: reply
            for request_id in ids
            for reply in self._answers([self._sent[request_id]])
        }
        ids.clear()
        return arrived

    def _answers(self, requests: Iterable[Request]) -> list[Reply]:
        replies = []
        for request in requests:
            site = self._sites.get(request.node)
            answer = SITE_GONE if site is None else site(request)
            if isinstance(answer, Content):
                replies.append(Reply(request.node, answer))
            elif answer is not None:
                replies.append(Reply(request.node, Content(), answer))
        return replies


@dataclass(frozen=True)
class InMemoryOffer:
    """A request that waits in an `InMemorySite`.

    Attributes
    ----------
    run_id
        Number of the run.
    request
        The request.
    """

    run_id: int
    request: Request

    @property
    def kind(self) -> str:
        """Kind of the request."""
        return self.request.kind


@dataclass(frozen=True)
class InMemoryReply:
    """A release in memory.

    Attributes
    ----------
    answer
        Content of the reply, or the code of a refusal.
    size
        Number of bytes of its figures as JSON and its weights.
    sha256
        SHA-256 of these bytes, in hexadecimal.
    """

    answer: Content | int
    size: int
    sha256: str


class InMemorySite:
    """Carries messages between the coordinator and a session in another thread of the process.

    `answer` is the function that `InMemoryTransport` needs for the node of this site.

    Parameters
    ----------
    run_id
        Number of the only run.
    """

    was_delayed = True

    def __init__(self, run_id: int = 1) -> None:
        self._run_id = run_id
        self._requests: queue.Queue[Request | None] = queue.Queue()
        self._answers: queue.Queue[Content | int] = queue.Queue()
        self._is_over = self._has_left = False

    def answer(self, request: Request) -> Content | int:
        """Give the session a request, and return its reply or the code of its refusal."""
        if self._has_left:
            return SITE_GONE
        self._requests.put(request)
        return self._answers.get()

    def close(self) -> None:
        """End the run: the session receives `RunOver`."""
        self._is_over = True
        self._requests.put(None)

    def leave(self) -> None:
        """End the session: the coordinator receives `SITE_GONE`."""
        self._has_left = True
        self._answers.put(SITE_GONE)

    def receive(self, patience: float) -> InMemoryOffer | None:
        """Return the next request; None if there is none within `patience` seconds."""
        try:
            request = self._requests.get(timeout=patience)
        except queue.Empty:
            return None
        if request is None:
            raise RunOver
        return InMemoryOffer(self._run_id, request)

    def fetch(self, offer: InMemoryOffer) -> Delivered:
        """Return the offered request."""
        return Delivered(offer.kind, offer.request.content, offer.request)

    def is_ours(self, run_id: int) -> bool:
        """Return whether the run is this one. Raises `RunOver` after its end."""
        if self._is_over:
            raise RunOver
        return run_id == self._run_id

    def pack(self, release: Release, to: Delivered) -> InMemoryReply:  # noqa: ARG002
        """Return the reply with its size and hash."""
        code = release.code
        answer = content_of_release(release) if code is None else code
        body = json.dumps([code, dict(release.figures)], sort_keys=True).encode()
        body += b"" if release.weights is None else release.weights.tobytes()
        return InMemoryReply(answer, len(body), hashlib.sha256(body).hexdigest())

    def send(self, packed: InMemoryReply) -> bool:
        """Give the coordinator the reply."""
        self._answers.put(packed.answer)
        return True
