"""List everything of Flower that ecgfl uses and that is not part of Flower's public interface.

A new release of Flower may change any of it without notice. A test compares this list with the code
and with the installed Flower; `TESTED_FLOWER` names the releases for which it was read.
"""

PUBLIC_MODULES = frozenset(
    {
        "flwr.app",
        "flwr.clientapp",
        "flwr.serverapp",
        "flwr.serverapp.strategy",
        "flwr.simulation",
    }
)
"""Modules whose names are documented."""

PRIVATE_NAMES: dict[str, frozenset[str]] = {
    "flwr.app.message": frozenset({"remove_content_from_message"}),
    "flwr.common.constant": frozenset(
        {
            "HEARTBEAT_PATIENCE",
            "NOOP_ACCOUNT_NAME",
            "NOOP_FLWR_AID",
            "PARTITION_ID_KEY",
            "Status",
            "SubStatus",
        }
    ),
    "flwr.common.serde": frozenset({"message_from_proto", "message_to_proto"}),
    "flwr.proto": frozenset(
        {
            "fleet_pb2",
            "heartbeat_pb2",
            "message_pb2",
            "node_pb2",
            "run_pb2",
            "runtime_pb2",
            "task_pb2",
        }
    ),
    "flwr.proto.fleet_pb2": frozenset(
        {"ActivateNodeRequest", "PushMessagesRequest", "PushMessagesResponse"}
    ),
    "flwr.proto.heartbeat_pb2": frozenset({"SendNodeHeartbeatRequest"}),
    "flwr.proto.message_pb2": frozenset(
        {
            "ConfirmMessageReceivedRequest",
            "ConfirmMessageReceivedResponse",
            "ObjectTree",
            "PullObjectRequest",
            "PullObjectResponse",
            "PushObjectRequest",
            "PushObjectResponse",
        }
    ),
    "flwr.server.superlink.linkstate": frozenset({"InMemoryLinkState", "LinkState"}),
    "flwr.server.superlink.utils": frozenset({"check_abort"}),
    "flwr.serverapp.strategy.fedopt": frozenset({"FedOpt"}),
    "flwr.supercore.constant": frozenset(
        {
            "FLWR_IN_MEMORY_DB_NAME",
            "FLWR_PACKAGE_VERSION_METADATA_KEY",
            "NOOP_FEDERATION_ID",
            "NodeStatus",
            "TaskType",
        }
    ),
    "flwr.supercore.date": frozenset({"now"}),
    "flwr.supercore.error": frozenset({"ApiErrorCode", "FlowerError", "http_error_translator"}),
    "flwr.supercore.inflatable.inflatable_object": frozenset(
        {
            "get_all_nested_objects",
            "get_object_body",
            "get_object_children_ids_from_object_content",
            "get_object_id",
            "get_object_tree",
            "get_object_type_from_object_content",
            "is_valid_sha256_hash",
            "iterate_object_tree",
            "no_object_id_recompute",
        }
    ),
    "flwr.supercore.inflatable.inflatable_protobuf_utils": frozenset(
        {
            "make_confirm_message_received_fn_protobuf",
            "make_pull_object_fn_protobuf",
            "make_push_object_fn_protobuf",
        }
    ),
    "flwr.supercore.inflatable.inflatable_utils": frozenset(
        {
            "ObjectPullError",
            "ObjectPushError",
            "inflate_object_from_contents",
            "pull_and_inflate_object_from_tree",
            "push_object_contents_from_iterable",
        }
    ),
    "flwr.supercore.interceptors.http.utils": frozenset({"add_headers"}),
    "flwr.supercore.object_store.in_memory_object_store": frozenset({"InMemoryObjectStore"}),
    "flwr.supercore.primitives.asymmetric": frozenset({"public_key_to_bytes"}),
    "flwr.supercore.protobuf.client": frozenset({"ProtobufCall", "ProtobufRequestContext"}),
    "flwr.supercore.protobuf.constants": frozenset({"PROTOBUF_MEDIA_TYPE"}),
    "flwr.supercore.protobuf.translation": frozenset(
        {"PROTOBUF_REQUEST_TYPES", "ProtobufTranslationMiddleware"}
    ),
    "flwr.supercore.run": frozenset({"Run"}),
    "flwr.supercore.runtime_version_compatibility": frozenset({"RuntimeVersionMetadata"}),
    "flwr.supercore.task_identity": frozenset({"TaskIdentity"}),
    "flwr.superlink.config_loader": frozenset(
        {"get_federation_manager", "get_objectstore_linkstate_factories"}
    ),
    "flwr.superlink.grid": frozenset({"HttpGrid", "InMemoryGrid"}),
    "flwr.superlink.routers.fleet": frozenset({"router"}),
    "flwr.superlink.servicer.runtime": frozenset({"runtime_handlers"}),
    "flwr.supernode.fleet_http_client": frozenset({"FleetHttpClient"}),
}
"""Names by the module from which they are imported."""

PRIVATE_ATTRIBUTES: dict[str, frozenset[str]] = {
    "flwr.app.Metadata": frozenset({"_message_id"}),
    "flwr.server.superlink.linkstate.InMemoryLinkState": frozenset({"_lock_object_push_sessions"}),
    "flwr.supercore.protobuf.translation.ProtobufTranslationMiddleware": frozenset(
        {"_check_request_media_type", "_parse_request"}
    ),
    "flwr.superlink.grid.HttpGrid": frozenset({"_client"}),
}
"""Attributes that begin with an underscore, by the class of Flower that has them."""
