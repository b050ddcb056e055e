"""Flower's Runtime API in memory, and the grid that sends a run's messages through it."""

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
"""Pause between two checks for replies."""


class Runtime:
    """Flower's Runtime API, called in memory.

    It has the methods that `HttpGrid` uses, under the names that Flower gives them.

    Parameters
    ----------
    state
        Flower's state of nodes, runs and messages.
    task
        Flower's task of the run.
    messages
        The messages of the run, by site.
    """

    def __init__(
        self, state: InMemoryLinkState, task: task_pb2.Task, messages: SiteMessages
    ) -> None:
        self._state = state
        self._task = task
        self.messages = messages

    def run(self, run_id: int) -> Run:
        """Return Flower's description of a run."""
        return self._state.get_run_info(run_ids=[run_id])[0]

    def GetNodes(self, request: runtime_pb2.GetNodesRequest) -> runtime_pb2.GetNodesResponse:  # noqa: N802
        """Return the nodes of the run."""
        return runtime_handlers.get_nodes(request, self._state, self._task)

    def PushMessages(  # noqa: N802
        self, request: runtime_pb2.PushAppMessagesRequest
    ) -> runtime_pb2.PushAppMessagesResponse:
        """Store messages for their nodes."""
        with self.messages.locked():
            response = runtime_handlers.push_messages(request, self._state, self._task)
            for message, tree in zip(
                request.messages_list, request.message_object_trees, strict=True
            ):
                is_accepted = tree.object_id in response.message_ids
                if is_accepted:
                    self.messages.add(message.metadata.dst_node_id, tree.object_id, tree)
        return response

    def PullMessages(  # noqa: N802
        self, request: runtime_pb2.PullAppMessagesRequest
    ) -> runtime_pb2.PullAppMessagesResponse:
        """Return replies."""
        return runtime_handlers.pull_messages(request, self._state, self._task)

    def PushObject(self, request: message_pb2.PushObjectRequest) -> message_pb2.PushObjectResponse:  # noqa: N802
        """Store a part of a message."""
        return runtime_handlers.push_object(request, self._state, self._task)

    def PullObject(self, request: message_pb2.PullObjectRequest) -> message_pb2.PullObjectResponse:  # noqa: N802
        """Return a part of a reply."""
        return runtime_handlers.pull_object(request, self._state, self._task)

    def ConfirmMessageReceived(  # noqa: N802
        self, request: message_pb2.ConfirmMessageReceivedRequest
    ) -> message_pb2.ConfirmMessageReceivedResponse:
        """Remove a reply that was received."""
        return runtime_handlers.confirm_message_received(request, self._state, self._task)


class RunGrid(HttpGrid):
    """Flower's grid of one run, in memory instead of over HTTP.

    Parameters
    ----------
    runtime
        The Runtime API.
    run_id
        Flower's id of the run.
    notify
        Called with the nodes that have new messages.

    Attributes
    ----------
    run_id
        Flower's id of the run.
    asked
        Nodes of the last `send_and_receive`.
    enough
        Number of usable replies with which a phase may end without the replies of late sites.
    """

    run_id: int
    asked: set[int]
    enough: int

    def __init__(
        self, runtime: Runtime, run_id: int, notify: Callable[[Iterable[int]], None]
    ) -> None:
        super().__init__(token="in-memory")
        self._notify = notify
        self._client: Any = runtime
        self._runtime = runtime
        self.run_id = run_id
        self.asked = set()
        self.enough = 1
        self._missed_phases: Counter[int] = Counter()
        self._sessions_when_late: dict[int, int] = {}
        self.set_run(runtime.run(run_id))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Store messages for their nodes, and return their ids."""
        messages = list(messages)
        ids = super().push_messages(messages)
        self._notify(message.metadata.dst_node_id for message in messages)
        return ids

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Send messages, and collect the replies.

        It ends when all replies have arrived, or `timeout` seconds have passed. A late site is
        asked, too, but the phase ends without it once there are `enough` usable replies.

        Parameters
        ----------
        messages
            The messages.
        timeout
            Time limit in seconds; None for no limit.
        """
        messages = list(messages)
        ids = self.push_messages(messages)
        nodes = {
            message_id: message.metadata.dst_node_id
            for message_id, message in zip(ids, messages, strict=True)
        }
        self.asked = set(nodes.values())
        waiting = set(nodes)
        deadline = None if timeout is None else time.monotonic() + timeout
        replies: list[Message] = []
        while waiting and (deadline is None or time.monotonic() < deadline):
            arrived = self.collect(waiting)
            replies += arrived
            usable = sum(not reply.has_error() for reply in replies)
            only_late = all(self.is_late(nodes[message_id]) for message_id in waiting)
            if usable >= self.enough and only_late:
                break
            if waiting and not arrived:
                time.sleep(REPLY_POLL_SECONDS)
        for node in (nodes[message_id] for message_id in waiting):
            self._missed_phases[node] += 1
            self._sessions_when_late[node] = self._runtime.messages.sessions[node]
        self._runtime.messages.remove(waiting)
        return replies

    def is_late(self, node: int) -> bool:
        """Return whether the grid does not wait for a node, because the node missed a phase.

        After the first missed phase of a run, it waits again if the node has connected anew.
        """
        missed = self._missed_phases[node]
        has_new_session = self._runtime.messages.sessions[node] != self._sessions_when_late.get(
            node
        )
        return missed > 1 or (missed == 1 and not has_new_session)

    def collect(self, waiting: set[str]) -> list[Message]:
        """Return the replies that have arrived.

        Parameters
        ----------
        waiting
            Ids of the messages whose replies are missing. Those that are answered, or that will get
            no answer, are removed from it.
        """
        if not waiting:
            return []
        ready, lost = self._runtime.messages.classify(waiting)
        arrived = list(self.pull_messages(ready)) if ready else []
        settled = lost | {message.metadata.reply_to_message_id for message in arrived}
        self._runtime.messages.remove(settled)
        waiting -= settled
        return arrived
