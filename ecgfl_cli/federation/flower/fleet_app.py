"""Flower's Fleet API as a web application, and nothing else of a SuperLink.

Flower's own `create_app` puts these calls behind the routes of its Control and Runtime APIs and behind nine layers of middleware,
most of which do nothing for a Fleet call, and all of which cost several times what the answer does: with 50 sites they were most
of a round. This module calls the same functions of Flower one after the other: read the call, check that it belongs to the
caller, answer it, convert errors into responses. Only one middleware of Flower checks anything: the authentication of nodes. It
is replaced by `authenticated_calls`. `TESTED_FLOWER` lists the releases for which this was verified.
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

OfFlower = Callable[[Any, LinkState], Any]
OfSite = Callable[[SiteMessages, int, Any], Any]

ACTIVATE, PUSH_MESSAGES, PUSH_OBJECT = (
    "/v1/fleet/activate-node",
    "/v1/fleet/push-messages",
    "/v1/fleet/push-object",
)

OF_FLOWER: Mapping[str, OfFlower] = {
    ACTIVATE: router.fleet_activate_node,
    "/v1/fleet/deactivate-node": router.fleet_deactivate_node,
    "/v1/fleet/send-node-heartbeat": router.fleet_send_node_heartbeat,
    PULL_MESSAGES: router.fleet_pull_messages,
    "/v1/fleet/get-run": router.fleet_get_run,
}
"""Calls that Flower answers. It is enough to check who calls."""

OF_SITE: Mapping[str, OfSite] = {
    PUSH_MESSAGES: SiteMessages.announce,
    PUSH_OBJECT: SiteMessages.take_part,
    "/v1/fleet/pull-object": SiteMessages.read_part,
    "/v1/fleet/confirm-message-received": SiteMessages.confirm,
}
"""Calls that name a message or a part of one. The message must belong to the caller."""

ANSWERS = frozenset({*OF_FLOWER, *OF_SITE})
"""What a site may call: the Fleet API without node registration and without the download of bundles."""

ANOTHERS = "a call in the name of another site"


class FleetApp:
    """ASGI application behind `AuthenticatedCalls`, which sets `scope["state"]["node"]` to the caller.

    state : Flower's in-memory state of nodes, runs and messages. messages : the messages of the open run, by site.
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
        request: Request = Request(scope, receive)
        response = await http_error_translator(request, self._answer)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        ProtobufTranslationMiddleware._check_request_media_type(request)
        call = ProtobufTranslationMiddleware._parse_request(
            await request.body(), PROTOBUF_REQUEST_TYPES["POST", path]
        )
        answered = await run_in_threadpool(self.answer, path, request.state.node, call)
        return Response(answered.SerializeToString(), media_type=PROTOBUF_MEDIA_TYPE)

    def answer(self, path: str, node: int, call: Any) -> Any:
        """Answer a call that this node has signed. Raises `HTTPException` or `FlowerError`."""
        self._require_own(node, call)
        if path in OF_SITE:
            return OF_SITE[path](self.messages, node, call)
        if isinstance(call, ActivateNodeRequest | SendNodeHeartbeatRequest):
            # With a longer interval, the coordinator would wait too long for a silent site.
            call.heartbeat_interval = min(call.heartbeat_interval, HEARTBEAT_SECONDS)
        answered = OF_FLOWER[path](call, self.state)
        if path == ACTIVATE:
            self.messages.sessions[node] += 1
        return answered

    def _require_own(self, node: int, call: Any) -> None:
        """Raises `HTTPException` unless a call names the node that signed it."""
        if isinstance(call, ActivateNodeRequest):
            named = self.state.get_node_id_by_public_key(call.public_key)
        else:
            named = call.node.node_id if hasattr(call, "node") else call.node_id
        if named != node:
            raise HTTPException(401, ANOTHERS)
