"""A server with the coordinator's certificate that opens a session, and then sends anything."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fake_messages import delivered
from federation_homes import Homes
from flwr.app import RecordDict
from flwr.common.serde import message_to_proto
from flwr.proto import fleet_pb2, heartbeat_pb2, message_pb2, run_pb2
from flwr.supercore.inflatable.inflatable_object import get_object_id

from ecgfl_cli.federation.flower import APPLICATION

Answer = Callable[["Handler"], None]
"""Writes an HTTP answer."""


def part(content: bytes) -> Answer:
    """An answer with a part of a message, as it should be."""
    whole = message_pb2.PullObjectResponse(
        object_found=True, object_available=True, object_content=content
    )
    return proto(whole)


def proto(message: Any) -> Answer:
    return lambda handler: handler.answer(message.SerializeToString())


def tree(*names: str) -> message_pb2.ObjectTree:
    """A first part, with the others below it."""
    first, *others = names
    return message_pb2.ObjectTree(
        object_id=first, children=[message_pb2.ObjectTree(object_id=name) for name in others]
    )


def content(kind: str, children: tuple[str, ...] = (), body: bytes = b"") -> bytes:
    """A part in Flower's own form."""
    return f"{kind} {','.join(children)} {len(body)}".encode() + b"\0" + body


def named(*contents: bytes) -> dict[str, bytes]:
    """Parts by their names."""
    return {get_object_id(each): each for each in contents}


class HostileServer:
    """What the server sends.

    offer : the tree of the next message; None offers none. parts : the answer for each part.

    for_ever : offer the same tree again and again. messages : answers the request for messages in
    another way.
    """

    def __init__(self, homes: Homes) -> None:
        self.tree: message_pb2.ObjectTree | None = None
        self.parts: Callable[[str], Answer] = lambda _: proto(message_pb2.PullObjectResponse())
        self.for_ever = False
        self.messages: Answer | None = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            homes.coordinator_home.server_certificate, homes.coordinator_home.server_key
        )
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (Handler,), {"hostile": self})
        )
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def offer(
        self, tree: message_pb2.ObjectTree, parts: Callable[[str], Answer] | dict[str, bytes]
    ) -> None:
        """The next question for messages is answered with one of these parts."""
        self.parts = (lambda name: part(parts[name])) if isinstance(parts, dict) else parts
        self.tree = tree

    def answer(self, handler: "Handler", call: str, body: bytes) -> None:
        match call:
            case "activate-node":
                proto(fleet_pb2.ActivateNodeResponse(node_id=1))(handler)
            case "send-node-heartbeat":
                proto(heartbeat_pb2.SendNodeHeartbeatResponse(success=True))(handler)
            case "get-run":
                proto(run_pb2.GetRunResponse(run=run_pb2.Run(run_id=7, fab_id=APPLICATION)))(
                    handler
                )
            case "pull-messages":
                (self.messages or proto(self._message()))(handler)
            case "pull-object":
                self.parts(message_pb2.PullObjectRequest.FromString(body).object_id)(handler)
            case _:
                handler.answer(b"")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _message(self) -> fleet_pb2.PullMessagesResponse:
        offered, self.tree = self.tree, self.tree if self.for_ever else None
        if offered is None:
            return fleet_pb2.PullMessagesResponse()
        head = message_to_proto(delivered(RecordDict(), "train"))
        return fleet_pb2.PullMessagesResponse(messages_list=[head], message_object_trees=[offered])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hostile: HostileServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with contextlib.suppress(OSError):  # the site has heard enough
            self.hostile.answer(self, self.path.rpartition("/")[2], body)

    def answer(self, body: bytes, stated: int | None = None, **headers: str) -> None:
        """stated : another length than the body's."""
        self.send_response(200)
        for name, value in {
            "content-length": str(len(body) if stated is None else stated),
            **headers,
        }.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def endless(self) -> None:
        """An answer that states no length and has no end."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        chunk = bytes(2**16)
        while True:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextlib.contextmanager
def hostile_server(homes: Homes) -> Iterator[HostileServer]:
    server = HostileServer(homes)
    try:
        yield server
    finally:
        server.close()
