"""Flower's Fleet API as a web application, without the rest of a SuperLink.

Flower's own `create_app` adds the routes of its Control and Runtime APIs and nine layers of
middleware. Most of these do nothing for a Fleet call, but together they take several times as long
as the answer itself: with 50 sites they took most of a round. This module calls the same functions
of Flower one after the other: read the call, check that it belongs to the caller, answer it,
convert errors into responses. Only one middleware of Flower checks anything, the authentication of
nodes, and `authenticated_calls` replaces it. `TESTED_FLOWER` lists the releases for which this was
verified.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import HTTPException
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkState
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.error import http_error_translator
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import (
    PROTOBUF_REQUEST_TYPES,
    ProtobufTranslationMiddleware,
)
from flwr.superlink.config_loader import get_federation_manager, get_objectstore_linkstate_factories
from flwr.superlink.routers.fleet import router
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ecgfl_cli.federation.flower import HEARTBEAT_SECONDS
from ecgfl_cli.federation.flower.long_polling import PULL_MESSAGES
from ecgfl_cli.federation.flower.site_messages import SiteMessages

FlowerHandler = Callable[[Any, LinkState], Any]
MessageHandler = Callable[[SiteMessages, int, Any], Any]

ACTIVATE = "/v1/fleet/activate-node"
PUSH_MESSAGES = "/v1/fleet/push-messages"
PUSH_OBJECT = "/v1/fleet/push-object"

FLOWER_CALLS: Mapping[str, FlowerHandler] = {
    ACTIVATE: router.fleet_activate_node,
    "/v1/fleet/deactivate-node": router.fleet_deactivate_node,
    "/v1/fleet/send-node-heartbeat": router.fleet_send_node_heartbeat,
    PULL_MESSAGES: router.fleet_pull_messages,
    "/v1/fleet/get-run": router.fleet_get_run,
}
"""Calls that Flower answers. Only the caller is checked."""

MESSAGE_CALLS: Mapping[str, MessageHandler] = {
    PUSH_MESSAGES: SiteMessages.announce,
    PUSH_OBJECT: SiteMessages.store_part,
    "/v1/fleet/pull-object": SiteMessages.read_part,
    "/v1/fleet/confirm-message-received": SiteMessages.confirm,
}
"""Calls about a message or a part of one. The message must belong to the caller."""

FLEET_CALLS = frozenset({*FLOWER_CALLS, *MESSAGE_CALLS})
"""Paths that a site may call: the Fleet API without registration and download of bundles."""

OTHER_SITE = "a call in the name of another site"


class FleetApp:
    """ASGI application that answers the sites' calls.

    It is behind `AuthenticatedCalls`, which sets `scope["state"]["node"]` to the caller.

    Attributes
    ----------
    state
        Flower's in-memory state of nodes, runs and messages.
    messages
        The messages of the open run, by site.
    """

    def __init__(self) -> None:
        _, factory = get_objectstore_linkstate_factories(
            FLWR_IN_MEMORY_DB_NAME, get_federation_manager()
        )
        state = factory.state()
        assert isinstance(state, InMemoryLinkState)
        self.state = state
        self.messages = SiteMessages(state)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        request: Request = Request(scope, receive)
        response = await http_error_translator(request, self._answer)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        ProtobufTranslationMiddleware._check_request_media_type(request)
        call = ProtobufTranslationMiddleware._parse_request(
            await request.body(), PROTOBUF_REQUEST_TYPES["POST", path]
        )
        response = await run_in_threadpool(self.answer, path, request.state.node, call)
        return Response(response.SerializeToString(), media_type=PROTOBUF_MEDIA_TYPE)

    def answer(self, path: str, node: int, call: Any) -> Any:
        """Answer a call.

        Parameters
        ----------
        path
            Path of the call; one of `FLEET_CALLS`.
        node
            The node that has signed it.
        call
            The request as a protobuf message.

        Raises
        ------
        HTTPException, FlowerError
            The call is not allowed.
        """
        self._require_own(node, call)
        if path in MESSAGE_CALLS:
            return MESSAGE_CALLS[path](self.messages, node, call)
        if isinstance(call, ActivateNodeRequest | SendNodeHeartbeatRequest):
            # With a longer interval, the coordinator would wait too long for a silent site.
            call.heartbeat_interval = min(call.heartbeat_interval, HEARTBEAT_SECONDS)
        response = FLOWER_CALLS[path](call, self.state)
        if path == ACTIVATE:
            self.messages.sessions[node] += 1
        return response

    def _require_own(self, node: int, call: Any) -> None:
        """Raise `HTTPException` unless a call names the node that signed it."""
        if isinstance(call, ActivateNodeRequest):
            named = self.state.get_node_id_by_public_key(call.public_key)
        else:
            named = call.node.node_id if hasattr(call, "node") else call.node_id
        if named != node:
            raise HTTPException(401, OTHER_SITE)
