"""The coordinator holds a site's question for messages until there may be one, instead of being asked several times a second.

A site says in a header how long it would wait. What is held is an answer that found no message: one that carries a message goes
out at once, and Flower never takes a message for delivered that is meant for a connection which has gone meanwhile.
"""

import asyncio
import contextlib
from collections.abc import MutableMapping
from typing import Any

from flwr.proto import fleet_pb2
from starlette.types import ASGIApp, Receive, Scope, Send

PULL_MESSAGES = "/v1/fleet/pull-messages"
HOLD_HEADER, HELD_HEADER = "ecgfl-hold-ms", "ecgfl-held"
LONGEST_HOLD_SECONDS = 10.0
"""Proxies cut off connections on which nothing is said for a minute or so."""

Event = MutableMapping[str, Any]


class HeldPolls:
    """ASGI filter in front of Flower's Fleet API, which knows who asks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._holds = True

    def news(self) -> None:
        """There are new messages: let all sites ask again. May be called from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server has ended, and with it its loop
                self._loop.call_soon_threadsafe(self._wake)

    def end(self) -> None:
        """Hold nothing any more: no message will come."""
        self._holds = False
        self.news()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        seconds = _asked(scope)
        if not seconds or not self._holds:
            await self._app(scope, receive, send)
            return
        news, answer = self._news, _Answer()  # before Flower looks: what comes after that is news
        await self._app(scope, receive, answer)
        if answer.is_without_message and self._holds:
            await _first_of(news, receive, seconds)
            answer.events[0]["headers"] = [*answer.events[0].get("headers", []), (HELD_HEADER.encode(), b"1")]
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
    return min(int(asked) / 1000, LONGEST_HOLD_SECONDS) if asked.isdigit() and len(asked) < 8 else 0.0


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
