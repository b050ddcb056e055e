"""Long polling: delay the answer to a site's poll for messages until there may be one.

Without it, a site would poll several times a second. A header of the poll states how long the site
waits. Only an answer without a message is delayed. An answer with a message is sent at once, so
Flower never counts a message as delivered that was for a closed connection.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from flwr.proto import fleet_pb2
from starlette.types import ASGIApp, Receive, Scope, Send

PULL_MESSAGES = "/v1/fleet/pull-messages"

WAIT_HEADER = "ecgfl-hold-ms"
"""Header of a poll: how long the site waits for an answer, in milliseconds."""

WAITED_HEADER = "ecgfl-held"
"""Header of an answer that was delayed."""

LONGEST_WAIT_SECONDS = 10.0
"""Longest delay of an answer. Proxies close connections without traffic after about a minute."""

MOST_DIGITS = 7
"""Largest number of digits of `WAIT_HEADER`."""

Event = MutableMapping[str, Any]


class LongPolling:
    """ASGI filter for long polling.

    It is in front of Flower's Fleet API and behind `AuthenticatedCalls`, which identifies the
    caller.

    Parameters
    ----------
    app
        The Fleet API.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._is_active = False

    def start(self) -> None:
        """Delay answers from now on, because messages may come."""
        self._is_active = True

    def notify(self, nodes: Iterable[int]) -> None:
        """Answer the waiting polls of these nodes, because there are messages for them.

        Any thread may call this.
        """
        notified = set(nodes)
        self._call_on_loop(lambda: self._wake(notified))

    def stop(self) -> None:
        """Answer all waiting polls, and delay none from now on, because no message will come."""
        self._is_active = False
        self._call_on_loop(lambda: self._wake(set(self._waiting)))

    def _call_on_loop(self, wake: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server and its loop have ended
                self._loop.call_soon_threadsafe(wake)

    def _wake(self, nodes: set[int]) -> None:
        for node in nodes & self._waiting.keys():
            for notified in self._waiting[node]:
                notified.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call; delay the answer to a poll if there is no message."""
        self._loop = asyncio.get_running_loop()
        seconds = _requested_wait(scope)
        if not seconds or not self._is_active:
            await self._app(scope, receive, send)
            return
        node = scope["state"]["node"]
        notified = asyncio.Event()
        answer = _Answer()
        # Before Flower looks for messages, so that a later message is not missed.
        self._waiting.setdefault(node, set()).add(notified)
        try:
            await self._app(scope, receive, answer)
            if answer.is_without_message and self._is_active:
                await _wait(notified, receive, seconds)
                answer.events[0]["headers"] = [
                    *answer.events[0].get("headers", []),
                    (WAITED_HEADER.encode(), b"1"),
                ]
        finally:
            self._waiting[node].discard(notified)
            if not self._waiting[node]:
                del self._waiting[node]
        for event in answer.events:
            await send(event)


class _Answer:
    """An ASGI `send` that stores the answer."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def is_without_message(self) -> bool:
        """Whether this is the answer to a poll that has no message; False for a refusal."""
        if not self.events or self.events[0]["status"] != 200:
            return False
        body = b"".join(event.get("body", b"") for event in self.events[1:])
        return not fleet_pb2.PullMessagesResponse.FromString(body).messages_list


def _requested_wait(scope: Scope) -> float:
    """Return for how many seconds the answer may be delayed."""
    if scope["type"] != "http" or scope["path"] != PULL_MESSAGES:
        return 0.0
    milliseconds = dict(scope["headers"]).get(WAIT_HEADER.encode(), b"")
    if not milliseconds.isdigit() or len(milliseconds) > MOST_DIGITS:
        return 0.0
    return min(int(milliseconds) / 1000, LONGEST_WAIT_SECONDS)


async def _wait(notified: asyncio.Event, receive: Receive, seconds: float) -> None:
    """Wait until the poll is notified or disconnected, at most for `seconds`."""
    waits = [asyncio.ensure_future(notified.wait()), asyncio.ensure_future(_disconnected(receive))]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
