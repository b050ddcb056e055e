"""Flower's Fleet API as a web application, without the rest of a SuperLink.

Flower's own `create_app` puts it behind the routes of its Control and Runtime APIs and behind six more layers, each of which does
nothing for a Fleet call but costs more than its answer does.
"""

from fastapi import FastAPI
from flwr.server.superlink.linkstate import InMemoryLinkState, LinkStateFactory
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.error import http_error_translator
from flwr.supercore.protobuf.translation import ProtobufTranslationMiddleware
from flwr.superlink.config_loader import get_federation_manager, get_objectstore_linkstate_factories
from flwr.superlink.routers.fleet.node_auth import NodeAuthMiddleware
from flwr.superlink.routers.fleet.router import router
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware


def fleet_app() -> tuple[FastAPI, InMemoryLinkState]:
    """The application, every call of which is authenticated by node key, and the state behind it, in memory."""
    factory: LinkStateFactory
    _, factory = get_objectstore_linkstate_factories(FLWR_IN_MEMORY_DB_NAME, get_federation_manager())
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # The order is Flower's: whom a call is from is looked at once it has been read, errors of both are put into words.
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=http_error_translator),
            Middleware(ProtobufTranslationMiddleware),
            Middleware(NodeAuthMiddleware),
        ],
    )
    app.state.linkstate_factory = factory
    app.state.enable_supernode_auth = True
    app.include_router(router)
    state = factory.state()
    assert isinstance(state, InMemoryLinkState)
    return app, state
