"""A site's question for messages is held while there are none, and no longer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from federation_homes import Homes
from flwr.proto import fleet_pb2, message_pb2, node_pb2
from node_processes import Processes

from ecgfl_cli.federation.flower import long_polling
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.flower.long_polling import (
    PULL_MESSAGES,
    WAIT_HEADER,
    WAITED_HEADER,
    LongPolling,
)
from ecgfl_cli.models.federation_file import ca_certificate
from ecgfl_cli.site.keys import load_node_key

NOTHING = fleet_pb2.PullMessagesResponse().SerializeToString()
A_MESSAGE = fleet_pb2.PullMessagesResponse(
    messages_list=[message_pb2.Message()]
).SerializeToString()
NODE = 7
QUESTION = fleet_pb2.PullMessagesRequest(node=node_pb2.Node(node_id=NODE)).SerializeToString()
LONGER_THAN_A_TEST = b"9999999"
GIVEN_UP_SECONDS = 30.0


@pytest.fixture(autouse=True)
def held_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends a hold in these tests is never that the time is up."""
    monkeypatch.setattr(long_polling, "LONGEST_WAIT_SECONDS", 1e6)


class Asked:
    """One question to a coordinator that answers it with `body`."""

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        hold: bytes = LONGER_THAN_A_TEST,
        path: str = PULL_MESSAGES,
    ) -> None:
        self._body, self._status = body, status
        self._scope = {
            "type": "http",
            "path": path,
            "headers": [(WAIT_HEADER.encode(), hold)],
            "state": {"node": NODE},
        }
        self.polls = LongPolling(self._flower)
        self.polls.start()
        self._asked = False
        self.looked, self.left = asyncio.Event(), asyncio.Event()
        self.sent: list[Any] = []
        self.meanwhile: Callable[[], None] | None = None

    async def _flower(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        await receive()
        await send(
            {
                "type": "http.response.start",
                "status": self._status,
                "headers": [(b"content-length", b"1")],
            }
        )
        await send({"type": "http.response.body", "body": self._body})
        if self.meanwhile is not None:
            self.meanwhile()
            await asyncio.sleep(0)
        self.looked.set()

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": QUESTION}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Any) -> None:
        self.sent.append(event)

    def ask(self) -> "asyncio.Task[None]":
        answered = self.polls(self._scope, self._receive, self._send)
        return asyncio.create_task(asyncio.wait_for(answered, GIVEN_UP_SECONDS))

    @property
    def was_delayed(self) -> bool:
        return WAITED_HEADER.encode() in dict(self.sent[0]["headers"])

    async def is_waiting(self, question: "asyncio.Task[None]") -> bool:
        """Whether nothing has gone out after Flower's answer, given every chance."""
        await self.looked.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        return not self.sent and not question.done()


@pytest.mark.parametrize(
    "what",
    [lambda polls: polls.notify([3, NODE]), lambda polls: polls.stop()],
    ids=["notify", "stop"],
)
def test_empty_answer_waits_for_a_message_or_the_end_of_the_run(
    what: Callable[[LongPolling], None],
) -> None:
    async def play() -> None:
        asked = Asked(NOTHING)
        question = asked.ask()
        assert await asked.is_waiting(question)
        what(asked.polls)
        await question
        assert asked.was_delayed
        assert asked.sent[1]["body"] == NOTHING

    asyncio.run(play())


def test_news_for_others_is_none() -> None:
    async def play() -> None:
        asked = Asked(NOTHING)
        question = asked.ask()
        assert await asked.is_waiting(question)
        asked.polls.notify([NODE + 1])
        assert await asked.is_waiting(question)
        asked.polls.stop()
        await question

    asyncio.run(play())


@pytest.mark.parametrize(
    "asked",
    [
        lambda: Asked(A_MESSAGE),
        lambda: Asked(b"", status=401),
        lambda: Asked(NOTHING, hold=b"0"),
        lambda: Asked(NOTHING, hold=b"-5"),
        lambda: Asked(NOTHING, hold=b"soon"),
        lambda: Asked(NOTHING, path="/v1/fleet/get-run"),
    ],
    ids=[
        "a message",
        "a refusal",
        "no hold",
        "a negative hold",
        "a hold that is no number",
        "another call",
    ],
)
def test_every_other_answer_goes_out_at_once(asked: Callable[[], Asked]) -> None:
    async def play() -> None:
        question = asked()
        await question.ask()
        assert len(question.sent) == 2
        assert not question.was_delayed

    asyncio.run(play())


def test_what_comes_while_flower_looks_is_news() -> None:
    async def play() -> None:
        asked = Asked(NOTHING)
        asked.meanwhile = lambda: asked.polls.notify([NODE])
        await asked.ask()
        assert asked.was_delayed

    asyncio.run(play())


def test_a_site_that_leaves_is_waited_for_no_longer() -> None:
    async def play() -> None:
        asked = Asked(NOTHING)
        question = asked.ask()
        assert await asked.is_waiting(question)
        asked.left.set()
        await question

    asyncio.run(play())


def test_after_the_end_nothing_is_held() -> None:
    async def play() -> None:
        asked = Asked(NOTHING)
        asked.polls.stop()
        await asked.ask()
        assert not asked.was_delayed

    asyncio.run(play())


def test_a_site_hears_that_it_was_held(homes: Homes, processes: Processes) -> None:
    _, port = processes.serve(homes.coordinator, "--min-sites", "3")
    site = homes.site("alice")
    ca = ca_certificate(homes.federation, None)
    key, coordinator = load_node_key(site), homes.federation.signing_public_key
    with FleetConnection(f"localhost:{port}", ca, key, coordinator, 10, 10) as connection:
        assert connection.receive(patience=0.5) is None
        assert connection.was_delayed
        assert connection.receive() is None
        assert not connection.was_delayed
