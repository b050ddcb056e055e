"""Refuse every call that no enrolled site has signed.

The headers decide, before the body is read and before Flower receives the call.
"""

import hashlib
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.message_pb2 import PushObjectResponse
from flwr.supercore.error import ApiErrorCode, FlowerError, http_error_translator
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ecgfl_cli.federation.connection.call_signature import CallNotSigned, SignedHead, read_head
from ecgfl_cli.federation.connection.clock import CLOCK_LIMIT_SECONDS
from ecgfl_cli.federation.flower import OTHER_VERSION, is_compatible
from ecgfl_cli.federation.flower.connections import Connection
from ecgfl_cli.federation.flower.fleet_app import ACTIVATE, FLEET_CALLS, PUSH_OBJECT
from ecgfl_cli.federation.flower.message_bounds import LARGEST_MESSAGE
from ecgfl_cli.site.keys import key_bytes

LARGEST_OBJECT = 8 * 2**20
"""Largest call with a part of a message, in bytes. The networks have less than 1 MiB of weights."""

LARGEST_CALL = 64 * 2**10
"""Largest size of any other call, in bytes."""

MOST_CALLS = 20_000
"""Largest number of calls of a site while a signature is valid (`2 * CLOCK_LIMIT_SECONDS`).

In quick rounds, a site makes up to eighty calls a second.
"""

LONGEST_LENGTH = 12
"""Largest number of digits in Content-Length."""

NOT_SIGNED = 401
NOT_FOUND = 404
METHOD = 405
LENGTH = 411
TOO_LARGE = 413
TOO_MANY = 429
"""HTTP status of the answers to refused calls."""


@dataclass
class Member:
    """An enrolled site.

    Attributes
    ----------
    node
        Its node id.
    key
        Its public node key.
    nonces
        Nonces of its latest calls.
    order
        The same nonces with the time of each call in seconds since 1970, oldest first.
    """

    node: int
    key: ec.EllipticCurvePublicKey
    nonces: set[str] = field(default_factory=set)
    order: deque[tuple[float, str]] = field(default_factory=deque)


class Members:
    """The keys whose calls are accepted. Any thread may call its methods.

    Parameters
    ----------
    coordinator
        Public signing key of the coordinator, base64. Calls must be signed for this coordinator.
    """

    def __init__(self, coordinator: str) -> None:
        self._coordinator = coordinator
        self._members: dict[bytes, Member] = {}
        self._lock = threading.Lock()

    def add(self, key: ec.EllipticCurvePublicKey, node: int) -> None:
        """Accept calls signed with this key as calls of a node."""
        with self._lock:
            self._members[key_bytes(key)] = Member(node, key)

    def remove(self, node: int) -> None:
        """Stop accepting calls of this node."""
        with self._lock:
            self._members = {
                key: member for key, member in self._members.items() if member.node != node
            }

    def knows(self, key: bytes) -> bool:
        """Return whether a key (DER) is enrolled."""
        with self._lock:
            return key in self._members

    def check(self, head: SignedHead, method: str, path: str) -> int:
        """Return the node id of the site that signed a call.

        Parameters
        ----------
        head
            Signature headers of the call.
        method, path
            Method and path of the call.

        Raises
        ------
        Refused
            No enrolled site signed the call, the time of the signature is too far from now, the
            same call came before, or the site makes too many calls.
        """
        with self._lock:
            member, now = self._members.get(head.key), time.time()
            if member is None or abs(now - head.time) > CLOCK_LIMIT_SECONDS:
                raise Refused(NOT_SIGNED)
            while member.order and member.order[0][0] < now - CLOCK_LIMIT_SECONDS:
                member.nonces.discard(member.order.popleft()[1])
            if head.nonce in member.nonces:
                raise Refused(NOT_SIGNED)
            if len(member.nonces) >= MOST_CALLS:
                raise Refused(TOO_MANY)
            if not head.verify(member.key, self._coordinator, method, path):
                raise Refused(NOT_SIGNED)
            member.nonces.add(head.nonce)
            # A call whose time is in the future stays valid for longer than others.
            member.order.append((max(now, head.time), head.nonce))
            return member.node


class Refused(Exception):
    """A call is refused.

    Attributes
    ----------
    status
        HTTP status of the answer.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


class AuthenticatedCalls:
    """ASGI filter in front of the Fleet API.

    It sets `scope["state"]["node"]` to the node that signed the call. It answers 404 for a path
    outside the Fleet API, 405 for a method other than POST, 426 for an incompatible version of
    Flower or of ecgfl's protocol, 401 without a valid signature of an enrolled site, 411 without a
    length, 413 for a body that is too large, and 429 for too many calls of a site. Each of these
    answers closes the connection.

    Parameters
    ----------
    app
        The application that answers accepted calls.
    members
        Keys of the enrolled sites.
    expects_part
        Whether a node has announced a reply of which parts are missing.
    """

    def __init__(self, app: ASGIApp, members: Members, expects_part: Callable[[int], bool]) -> None:
        self._app = app
        self._members = members
        self._expects_part = expects_part
        self._in_flight: defaultdict[int, int] = defaultdict(int)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a call, and pass it on or refuse it."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        connection: Connection = scope["state"]["connection"]
        try:
            head, length = _head(scope)
            if scope["path"] == ACTIVATE and not self._members.knows(head.key):
                await _not_enrolled(scope, receive, send)
                return
            node = self._members.check(head, scope["method"], scope["path"])
        except Refused as refused:
            await _refuse(send, refused.status)
            return
        connection.authenticated(node)
        if scope["path"] == PUSH_OBJECT and not self._expects_part(node):
            await _not_stored(scope, receive, send)
            return
        if self._in_flight[node] + length > LARGEST_MESSAGE:
            await _refuse(send, TOO_MANY)
            return
        self._in_flight[node] += length
        try:
            await self._take(scope, receive, send, node, head, length)
        finally:
            self._in_flight[node] -= length
            if not self._in_flight[node]:
                del self._in_flight[node]

    async def _take(
        self, scope: Scope, receive: Receive, send: Send, node: int, head: SignedHead, length: int
    ) -> None:
        """Read the body and pass the call on."""
        connection: Connection = scope["state"]["connection"]
        try:
            body = await _body(receive, length)
        except ConnectionError:
            return
        connection.body_received()
        if hashlib.sha256(body).hexdigest() != head.body_sha256:
            await _refuse(send, NOT_SIGNED)
            return
        scope["state"]["node"] = node
        await self._app(scope, _replay(body, receive), send)


def _head(scope: Scope) -> tuple[SignedHead, int]:
    """Return the signature of a call and the length of its body in bytes.

    Raises
    ------
    Refused
        The headers are not acceptable.
    """
    headers = dict(scope["headers"])
    if scope["path"] not in FLEET_CALLS:
        raise Refused(NOT_FOUND)
    if scope["method"] != "POST":
        raise Refused(METHOD)
    if not is_compatible(headers):
        raise Refused(OTHER_VERSION)
    try:
        head = read_head(headers)
    except CallNotSigned as error:
        raise Refused(NOT_SIGNED) from error
    stated = headers.get(b"content-length", b"")
    if not stated.isdigit() or len(stated) > LONGEST_LENGTH or b"transfer-encoding" in headers:
        raise Refused(LENGTH)
    if int(stated) > (LARGEST_OBJECT if scope["path"] == PUSH_OBJECT else LARGEST_CALL):
        raise Refused(TOO_LARGE)
    return head, int(stated)


async def _body(receive: Receive, length: int) -> bytes:
    """Return the whole body.

    Raises
    ------
    ConnectionError
        The site disconnected, or the body does not have the stated length.
    """
    parts, more = [], True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ConnectionError("the site disconnected")
        parts.append(event.get("body", b""))
        more = event.get("more_body", False)
    body = b"".join(parts)
    if len(body) != length:
        raise ConnectionError(f"a body of {len(body)} bytes, but {length} were stated")
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI `receive` that returns the body in one piece, then what `receive` returns."""
    unread = [body]

    async def replay() -> MutableMapping[str, Any]:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return replay


async def _refuse(send: Send, status: int) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": b""})


async def _not_stored(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a site that sends a part of a reply without announcing it. The body is not read."""
    answer = PushObjectResponse(stored=False).SerializeToString()
    await Response(answer, media_type=PROTOBUF_MEDIA_TYPE, headers={"connection": "close"})(
        scope, receive, send
    )


async def _not_enrolled(scope: Scope, receive: Receive, send: Send) -> None:
    """Send Flower's answer to an unknown key."""

    async def unknown(_: Request) -> Response:
        raise FlowerError(ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED, "a key that is not enrolled")

    response = await http_error_translator(Request(scope), unknown)
    response.headers["connection"] = "close"
    await response(scope, receive, send)
