"""Flower's Fleet API as a web application, and nothing else of a SuperLink.

Flower's own `create_app` puts these calls behind the routes of its Control and Runtime APIs and behind nine layers of middleware,
most of which do nothing for a Fleet call, and all of which cost several times what the answer does: with 50 sites they were most
of a round. Here the same functions of Flower are called one after the other: read the call, find out whom it is from, answer it,
put errors into words.
"""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import HTTPException
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PushMessagesRequest
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkState
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.error import http_error_translator
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES, ProtobufTranslationMiddleware
from flwr.superlink.config_loader import get_federation_manager, get_objectstore_linkstate_factories
from flwr.superlink.routers.fleet import router
from flwr.superlink.routers.fleet.node_auth import authenticate_node
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ecgfl_cli.federation.flower.held_polls import PULL_MESSAGES
from ecgfl_cli.federation.flower.replies import check_pushed, undisturbed

Answer = Callable[[Any, LinkState], Any]

PUSH_MESSAGES, PUSH_OBJECT = "/v1/fleet/push-messages", "/v1/fleet/push-object"

ANSWERS: Mapping[str, Answer] = {
    "/v1/fleet/activate-node": router.fleet_activate_node,
    "/v1/fleet/deactivate-node": router.fleet_deactivate_node,
    "/v1/fleet/send-node-heartbeat": router.fleet_send_node_heartbeat,
    PULL_MESSAGES: router.fleet_pull_messages,
    PUSH_MESSAGES: router.fleet_push_messages,
    "/v1/fleet/get-run": router.fleet_get_run,
    PUSH_OBJECT: router.fleet_push_object,
    "/v1/fleet/pull-object": router.fleet_pull_object,
    "/v1/fleet/confirm-message-received": router.fleet_confirm_message_received,
}
"""What a site may call: the Fleet API without node registration and without the download of bundles."""

NOT_AUTHENTICATED = "Invalid SuperNode authentication"
"""In Flower's words."""


class FleetApp:
    """ASGI application, every call of which is authenticated by node key.

    state : what Flower knows of nodes, runs and messages, in memory.
    """

    def __init__(self) -> None:
        _, factory = get_objectstore_linkstate_factories(FLWR_IN_MEMORY_DB_NAME, get_federation_manager())
        state = factory.state()
        assert isinstance(state, InMemoryLinkState)
        self.state = state
        self._flower = Starlette()  # where Flower's functions look for the state
        self._flower.state.linkstate_factory = factory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request = Request({**scope, "app": self._flower}, receive)
        response = await http_error_translator(request, self._answer)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        if path not in ANSWERS:
            raise HTTPException(404)
        if request.method != "POST":
            raise HTTPException(405)
        ProtobufTranslationMiddleware._check_request_media_type(request)
        if path == PUSH_OBJECT:  # megabytes, which are not read for just anybody
            await run_in_threadpool(self._check_head, request)
        body = await request.body()
        request.state.protobuf_request = ProtobufTranslationMiddleware._parse_request(body, PROTOBUF_REQUEST_TYPES["POST", path])
        return await run_in_threadpool(self._authenticated, request, ANSWERS[path])

    def _check_head(self, request: Request) -> None:
        """Raises `HTTPException` unless an enrolled site has signed the call, whatever is in it."""
        try:
            claimed = b64decode(request.headers.get(FLEET_HTTP_PUBLIC_KEY_HEADER, ""), validate=True)
        except ValueError as error:
            raise HTTPException(401, NOT_AUTHENTICATED) from error
        request.state.protobuf_request = ActivateNodeRequest(public_key=claimed)  # of which Flower compares the key alone
        authenticate_node(request)
        if self.state.get_node_id_by_public_key(claimed) is None:
            raise HTTPException(401, NOT_AUTHENTICATED)

    def _authenticated(self, request: Request, answer: Answer) -> Response:
        authenticate_node(request)
        asked = request.state.protobuf_request
        if not isinstance(asked, PushMessagesRequest):
            answered = answer(asked, self.state)
        else:
            with undisturbed(self.state) as store:
                try:
                    check_pushed(asked, store)
                except ValueError as error:
                    raise HTTPException(400, str(error)) from error
                answered = answer(asked, self.state)
        return Response(answered.SerializeToString(), media_type=PROTOBUF_MEDIA_TYPE)
