"""The coordinator holds a site's question for messages until there may be one, instead of being asked several times a second.

A site says in a header how long it would wait. What is held is an answer that found no message: one that carries a message goes
out at once, and Flower never takes a message for delivered that is meant for a connection which has gone meanwhile.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from flwr.proto import fleet_pb2
from starlette.types import ASGIApp, Receive, Scope, Send

PULL_MESSAGES = "/v1/fleet/pull-messages"
HOLD_HEADER, HELD_HEADER = "ecgfl-hold-ms", "ecgfl-held"
LONGEST_HOLD_SECONDS = 10.0
"""Proxies cut off connections on which nothing is said for a minute or so."""

Event = MutableMapping[str, Any]


class LongPolling:
    """ASGI filter for long polling, in front of Flower's Fleet API and behind `AuthenticatedCalls`, which names the caller."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asking: dict[int, set[asyncio.Event]] = {}
        self._holds = False

    def begin(self) -> None:
        """Hold questions from now on: messages may come."""
        self._holds = True

    def news(self, nodes: Iterable[int]) -> None:
        """There are new messages for these nodes: let them ask again. May be called from any thread."""
        told = set(nodes)
        self._soon(lambda: self._wake(told))

    def end(self) -> None:
        """Hold nothing any more: no message will come."""
        self._holds = False
        self._soon(lambda: self._wake(set(self._asking)))

    def _soon(self, wake: Callable[[], None]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has ended, and with it its loop
                self._loop.call_soon_threadsafe(wake)

    def _wake(self, nodes: set[int]) -> None:
        for node in nodes & self._asking.keys():
            for news in self._asking[node]:
                news.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        seconds = _asked(scope)
        if not seconds or not self._holds:
            await self._app(scope, receive, send)
            return
        node, news, answer = scope["state"]["node"], asyncio.Event(), _Answer()
        self._asking.setdefault(node, set()).add(
            news
        )  # before Flower looks, so that no later message is missed
        try:
            await self._app(scope, receive, answer)
            if answer.is_without_message and self._holds:
                await _first_of(news, receive, seconds)
                answer.events[0]["headers"] = [
                    *answer.events[0].get("headers", []),
                    (HELD_HEADER.encode(), b"1"),
                ]
        finally:
            self._asking[node].discard(news)
            if not self._asking[node]:
                del self._asking[node]
        for event in answer.events:
            await send(event)


class _Answer:
    """Takes what Flower would have sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def is_without_message(self) -> bool:
        """False also of a refusal."""
        if not self.events or self.events[0]["status"] != 200:
            return False
        body = b"".join(event.get("body", b"") for event in self.events[1:])
        return not fleet_pb2.PullMessagesResponse.FromString(body).messages_list


def _asked(scope: Scope) -> float:
    """For how many seconds the answer may be held."""
    if scope["type"] != "http" or scope["path"] != PULL_MESSAGES:
        return 0.0
    asked = dict(scope["headers"]).get(HOLD_HEADER.encode(), b"")
    return (
        min(int(asked) / 1000, LONGEST_HOLD_SECONDS) if asked.isdigit() and len(asked) < 8 else 0.0
    )


async def _first_of(news: asyncio.Event, receive: Receive, seconds: float) -> None:
    """Wait for news, for the end of the connection, or for so long."""
    waits = [asyncio.ensure_future(news.wait()), asyncio.ensure_future(_gone(receive))]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
