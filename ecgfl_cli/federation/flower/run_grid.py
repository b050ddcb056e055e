"""Flower's Runtime API in memory, and the grid that Flower's strategies drive a run with."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from flwr.app import Message
from flwr.proto import message_pb2, runtime_pb2, task_pb2
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.run import Run
from flwr.superlink.grid import HttpGrid
from flwr.superlink.servicer.runtime import runtime_handlers

from ecgfl_cli.federation.flower import quieten
from ecgfl_cli.federation.flower.site_messages import SiteMessages

quieten()

REPLY_POLL_SECONDS = 0.1


class Runtime:
    """Flower's Runtime API called in memory; the methods that `HttpGrid` uses, under its names."""

    def __init__(
        self, state: InMemoryLinkState, task: task_pb2.Task, messages: SiteMessages
    ) -> None:
        self._state, self._task, self.messages = state, task, messages

    def run(self, run_id: int) -> Run:
        return self._state.get_run_info(run_ids=[run_id])[0]

    def GetNodes(self, request: runtime_pb2.GetNodesRequest) -> runtime_pb2.GetNodesResponse:  # noqa: N802
        return runtime_handlers.get_nodes(request, self._state, self._task)

    def PushMessages(  # noqa: N802
        self, request: runtime_pb2.PushAppMessagesRequest
    ) -> runtime_pb2.PushAppMessagesResponse:
        with self.messages.undisturbed():
            response = runtime_handlers.push_messages(request, self._state, self._task)
            for message, tree in zip(
                request.messages_list, request.message_object_trees, strict=True
            ):
                if (
                    tree.object_id in response.message_ids
                ):  # otherwise Flower did not accept the message
                    self.messages.sent(message.metadata.dst_node_id, tree.object_id, tree)
        return response

    def PullMessages(  # noqa: N802
        self, request: runtime_pb2.PullAppMessagesRequest
    ) -> runtime_pb2.PullAppMessagesResponse:
        return runtime_handlers.pull_messages(request, self._state, self._task)

    def PushObject(self, request: message_pb2.PushObjectRequest) -> message_pb2.PushObjectResponse:  # noqa: N802
        return runtime_handlers.push_object(request, self._state, self._task)

    def PullObject(self, request: message_pb2.PullObjectRequest) -> message_pb2.PullObjectResponse:  # noqa: N802
        return runtime_handlers.pull_object(request, self._state, self._task)

    def ConfirmMessageReceived(  # noqa: N802
        self, request: message_pb2.ConfirmMessageReceivedRequest
    ) -> message_pb2.ConfirmMessageReceivedResponse:
        return runtime_handlers.confirm_message_received(request, self._state, self._task)


class RunGrid(HttpGrid):
    """Flower's grid of one run, over memory instead of HTTP, which looks for replies ten times a second."""

    def __init__(
        self, runtime: Runtime, run_id: int, tell: Callable[[Iterable[int]], None]
    ) -> None:
        """tell : is called with the nodes for which messages have been put there."""
        super().__init__(token="in-memory")
        self._tell = tell
        self._client: Any = runtime
        self._runtime = runtime
        self.run_id = run_id
        self.asked: set[int] = set()
        """The nodes of the latest `send_and_receive`."""
        self._missed: Counter[int] = Counter()
        """Number of phases that each node missed."""
        self._sessions_when_late: dict[int, int] = {}
        self.enough = 1
        """Number of usable replies with which a phase may end without the replies of late sites."""
        self.set_run(runtime.run(run_id))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Put messages there for their nodes; returns their ids."""
        messages = list(messages)
        ids = super().push_messages(messages)
        self._tell(message.metadata.dst_node_id for message in messages)
        return ids

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Send messages, and collect the replies until all are there or `timeout` seconds have passed.

        A site that is `late` is still asked, but the phase ends without it once there are `enough` usable replies.
        """
        messages = list(messages)
        nodes = dict(
            zip(
                self.push_messages(messages),
                (message.metadata.dst_node_id for message in messages),
                strict=True,
            )
        )
        self.asked = set(nodes.values())
        waiting = set(nodes)
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            arrived = self.collect(waiting)
            replies += arrived
            usable = sum(not reply.has_error() for reply in replies)
            if usable >= self.enough and all(
                self.is_late(nodes[message_id]) for message_id in waiting
            ):
                break
            if waiting and not arrived:
                time.sleep(REPLY_POLL_SECONDS)
        for message_id in waiting:
            self._missed[nodes[message_id]] += 1
            self._sessions_when_late[nodes[message_id]] = self._runtime.messages.sessions[
                nodes[message_id]
            ]
        self._runtime.messages.forget(waiting)
        return replies

    def is_late(self, node: int) -> bool:
        """Whether the node missed a phase and is not waited for. A new session makes up for the first missed phase of a run."""
        started_again = self._runtime.messages.sessions[node] != self._sessions_when_late.get(node)
        return self._missed[node] > 1 or (self._missed[node] == 1 and not started_again)

    def collect(self, waiting: set[str]) -> list[Message]:
        """The replies that are there, to the messages of these ids, which are removed from `waiting` together with those to which
        none will come any more.
        """
        if not waiting:
            return []
        ready, lost = self._runtime.messages.sorted_out(waiting)
        arrived = list(self.pull_messages(ready)) if ready else []
        settled = lost | {message.metadata.reply_to_message_id for message in arrived}
        self._runtime.messages.forget(settled)
        waiting -= settled
        return arrived
