"""Flower messages as they arrive, without a network between."""

from flwr.app import Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

# A new message takes its run and its sender from here; in a coordinator the SuperLink sets them.
TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 99


def delivered(content: RecordDict, kind: str, node: int = 1) -> Message:
    """A request as a node receives it."""
    message = Message(content=content, dst_node_id=node, message_type=kind)
    message.metadata.__dict__.update(_run_id=7, _message_id=f"request-{node}", _src_node_id=99)
    return message


def reply(request: Message, content: RecordDict | Error) -> Message:
    """The answer of the node that the request went to, as the coordinator receives it."""
    answer = Message(content, reply_to=request)
    answer.metadata.__dict__.update(_message_id=f"reply-{request.metadata.dst_node_id}")
    return answer
