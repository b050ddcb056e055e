"""The line of a message is in the audit log, on the disk, before its first byte leaves."""

from types import SimpleNamespace
from typing import Any

import pytest
from fake_messages import delivered
from federation_homes import Homes
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from ecgfl_cli.errors import MessageRefused, PolicyRefused, ServerUnreachable
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.site.node import SiteNode
from ecgfl_cli.federation.messages import POLICY_FORBIDS
from ecgfl_cli.site.audit import AuditLog


class CutLine:
    """A connection that breaks as something is to be sent, and sees what the log says at that moment."""

    node_id = 1

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self.seen: list[dict[str, Any]] = []
        self.sent: Any = None

    def is_ours(self, run_id: int) -> bool:  # noqa: ARG002
        return True

    def fetch(self, incoming: object) -> Message:  # noqa: ARG002
        return delivered(RecordDict({"config": ConfigRecord({})}), "train")

    def outgoing(self, reply: Message) -> Any:
        return FleetConnection.outgoing(reply)

    def send(self, outgoing: Any) -> bool:
        self.seen, self.sent = self._log.entries(), outgoing
        raise ServerUnreachable("the line was cut", "-")


def answer(homes: Homes, app: Any) -> CutLine:
    log = AuditLog(homes.site("alice").audit)
    line = CutLine(log)
    node = SiteNode(line, SimpleNamespace(app=lambda: app, run="r1"), log, lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(ServerUnreachable):
        node._answer(SimpleNamespace(run_id=7, kind="train"))  # type: ignore[arg-type]
    return line


def test_a_reply(homes: Homes) -> None:
    def app(message: Message, context: object) -> Message:  # noqa: ARG001
        return Message(
            RecordDict({"metrics": MetricRecord({"loss": 0.5}), "arrays": ArrayRecord()}),
            reply_to=message,
        )

    line = answer(homes, app)
    last = line.seen[-1]
    assert (last["event"], last["kind"], last["run"]) == ("send", "train", "r1")
    head = {"lines": last["line"] - 1, "hash": list(bytes.fromhex(last["previous"]))}
    assert last["metrics"] == {"metrics": {"loss": 0.5}, "audit": head}
    assert (last["bytes"], last["sha256"]) == (line.sent.size, line.sent.sha256)
    assert last["bytes"] > 0


def test_a_refusal_with_its_reason_here_and_a_code_there(homes: Homes) -> None:
    def app(message: Message, context: object) -> Message:  # noqa: ARG001
        raise PolicyRefused("policy.max_rounds", "-")

    line = answer(homes, app)
    last = line.seen[-1]
    assert (last["event"], last["code"]) == ("refused", POLICY_FORBIDS)
    assert "max_rounds" in last["reason"]
    assert (last["bytes"], last["sha256"]) == (line.sent.size, line.sent.sha256)
    assert b"max_rounds" not in b"".join(line.sent.objects.values())


@pytest.mark.parametrize("kind", ["train.foo", "foo", "system.x", ""])
def test_a_message_of_another_kind_is_refused_and_written_down(homes: Homes, kind: str) -> None:
    log = AuditLog(homes.site("alice").audit)
    line = CutLine(log)
    node = SiteNode(line, SimpleNamespace(app=lambda: None, run="r1"), log, lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(MessageRefused, match="unknown kind"):
        node._answer(SimpleNamespace(run_id=7, kind=kind))  # type: ignore[arg-type]
    assert "unknown kind" in log.entries()[-1]["reason"]
