"""The private parts of Flower on which ecgfl stands are there, with the signatures that it uses."""

import inspect
from importlib.metadata import version

import pytest
from flwr.app.message import remove_content_from_message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.server.superlink.linkstate import LinkState
from flwr.server.superlink.utils import check_abort
from flwr.supercore.error import http_error_translator
from flwr.supercore.inflatable import inflatable_object, inflatable_protobuf_utils, inflatable_utils
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.translation import (
    PROTOBUF_REQUEST_TYPES,
    ProtobufTranslationMiddleware,
)
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.config_loader import get_federation_manager, get_objectstore_linkstate_factories
from flwr.superlink.grid import HttpGrid
from flwr.superlink.servicer.runtime import runtime_handlers
from flwr.supernode.fleet_http_client import FleetHttpClient

from ecgfl_cli.errors import UsageError
from ecgfl_cli.federation import flower
from ecgfl_cli.federation.flower import TESTED_FLOWER, require_tested_flower
from ecgfl_cli.federation.flower.authenticated_calls import FLEET_CALLS
from ecgfl_cli.federation.flower.fleet_app import FLOWER_CALLS
from ecgfl_cli.federation.messages import SITE_GONE


def takes(function: object, *names: str) -> None:
    """The function's first parameters are these."""
    found = [name for name in inspect.signature(function).parameters if name != "self"]  # type: ignore[arg-type]
    assert tuple(found[: len(names)]) == names, found


def test_flower_is_of_a_tested_release(monkeypatch: pytest.MonkeyPatch) -> None:
    assert version("flwr") in TESTED_FLOWER
    require_tested_flower()
    monkeypatch.setattr(flower, "version", lambda _: "1.41.1")
    with pytest.raises(UsageError, match=r"pip install flwr==1\.41\.0"):
        require_tested_flower()


@pytest.mark.parametrize(
    "call",
    [
        *(
            "ActivateNode",
            "DeactivateNode",
            "SendNodeHeartbeat",
            "PullMessages",
            "PushMessages",
            "GetRun",
        ),
        *("PushObject", "PullObject", "ConfirmMessageReceived"),
    ],
)
def test_the_fleet_client_has_the_call(call: str) -> None:
    takes(getattr(FleetHttpClient, call), "request")


def test_code_of_a_lost_session_is_flowers() -> None:
    assert SITE_GONE == ErrorCode.NODE_UNAVAILABLE


def test_the_fleet_client_is_made_from_an_address_and_a_ca() -> None:
    takes(
        FleetHttpClient.from_server_address,
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
    )
    assert callable(FleetHttpClient("http://localhost").close)


def test_the_open_paths_are_flowers_own() -> None:
    known = {path for method, path in PROTOBUF_REQUEST_TYPES if method == "POST"}
    assert known >= FLEET_CALLS
    assert {path for path in known if path.startswith("/v1/fleet/")} - FLEET_CALLS == {
        *("/v1/fleet/register-node", "/v1/fleet/unregister-node", "/v1/fleet/get-fab")
    }


def test_messages_are_taken_apart_and_put_together_by_these() -> None:
    takes(remove_content_from_message, "message")
    takes(message_from_proto, "message_proto")
    takes(message_to_proto, "message")
    takes(get_all_nested_objects, "obj")
    takes(get_object_tree, "obj")
    takes(no_object_id_recompute)
    takes(
        inflatable_utils.pull_and_inflate_object_from_tree,
        "object_tree",
        "pull_object_fn",
        "confirm_object_received_fn",
    )
    assert (
        "return_type"
        in inspect.signature(inflatable_utils.pull_and_inflate_object_from_tree).parameters
    )
    takes(inflatable_utils.push_object_contents_from_iterable, "object_contents", "push_object_fn")
    takes(
        inflatable_protobuf_utils.make_pull_object_fn_protobuf,
        "pull_object_protobuf",
        "node",
        "run_id",
    )
    takes(
        inflatable_protobuf_utils.make_push_object_fn_protobuf,
        "push_object_protobuf",
        "node",
        "run_id",
        "session_id",
    )
    takes(
        inflatable_protobuf_utils.make_confirm_message_received_fn_protobuf,
        "confirm_message_received_protobuf",
        "node",
        "run_id",
    )


def test_a_fleet_call_is_answered_by_these() -> None:
    takes(http_error_translator, "request", "call_next")
    takes(ProtobufTranslationMiddleware._check_request_media_type, "request")
    takes(ProtobufTranslationMiddleware._parse_request, "body", "request_type")
    takes(get_objectstore_linkstate_factories, "database", "federation_manager")
    takes(get_federation_manager)
    for answer in FLOWER_CALLS.values():
        assert list(inspect.signature(answer).parameters) == ["request", "state"]


def test_the_state_has_these_calls() -> None:
    takes(LinkState.create_node, "owner_aid", "owner_name", "public_key", "heartbeat_interval")
    takes(LinkState.delete_node, "owner_aid", "node_id")
    assert {"owner_aids", "statuses"} <= set(inspect.signature(LinkState.get_node_info).parameters)
    for call in (
        "create_run",
        "get_tasks",
        "claim_task",
        "activate_task",
        "finish_task",
        "acknowledge_task_heartbeat",
    ):
        assert callable(getattr(LinkState, call))
    for call in (
        "start_session",
        "store_message_and_object_tree",
        "store_object",
        "get_object",
        "delete_messages",
    ):
        assert callable(getattr(LinkState, call))
    takes(check_abort, "run_id", "abort_status_list", "state")
    takes(inflatable_object.get_object_children_ids_from_object_content, "object_content")
    takes(inflatable_utils.inflate_object_from_contents, "object_id", "object_contents")
    takes(LinkState.get_run_info)
    takes(LinkState.get_node_id)


def test_the_runtime_api_can_be_called_in_memory() -> None:
    for call in (
        "get_nodes",
        "push_messages",
        "pull_messages",
        "push_object",
        "pull_object",
        "confirm_message_received",
    ):
        takes(getattr(runtime_handlers, call), "request")
        assert len(inspect.signature(getattr(runtime_handlers, call)).parameters) == 3


def test_the_grid_finds_its_client_where_ours_is_put() -> None:
    assert "token" in inspect.signature(HttpGrid).parameters
    source = inspect.getsource(HttpGrid)
    for name in ("_client", "_runtime_client", "set_run"):
        assert name in source
    for name in ("task_id", "run_id", "node_id"):
        assert name in inspect.getsource(TaskIdentity)


def test_versions_and_keys_are_told_by_these() -> None:
    assert dict(RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata())
    takes(public_key_to_bytes, "public_key")
