"""The line of a message is in the audit log, on the disk, before its first byte leaves."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_messages import delivered
from federation_homes import Homes
from flwr.app import RecordDict

from ecgfl_cli.errors import MessageRefused, PolicyRefused, ServerUnreachable
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import POLICY_FORBIDS, Content, Kind
from ecgfl_cli.federation.site.session import Session
from ecgfl_cli.federation.transport import Delivered
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.outbox import Release


class CutLine:
    """A connection that breaks when something is sent, and reads the log at that moment."""

    node_id = 1

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self.seen: list[dict[str, Any]] = []
        self.sent: Any = None

    def is_ours(self, run_id: int) -> bool:  # noqa: ARG002
        return True

    def fetch(self, offer: object) -> Delivered:  # noqa: ARG002
        return Delivered("train", Content(), delivered(RecordDict(), "train"))

    pack = FleetConnection.pack
    outgoing = staticmethod(FleetConnection.outgoing)

    def send(self, outgoing: Any) -> bool:
        self.seen, self.sent = self._log.entries(), outgoing
        raise ServerUnreachable("the line was cut", "-")


def line_cut(homes: Homes, answer: Callable[[Kind, Content], Release]) -> CutLine:
    log = AuditLog(homes.site("alice").audit)
    line = CutLine(log)
    node = Session(line, SimpleNamespace(answer=answer, run="r1", steps=[]), log)  # type: ignore[arg-type]
    with pytest.raises(ServerUnreachable):
        node._answer(SimpleNamespace(run_id=7, kind="train"))  # type: ignore[arg-type]
    return line


def test_a_reply(homes: Homes) -> None:
    release = Release("train", {"loss": 0.5}, np.zeros(3, np.float32))
    line = line_cut(homes, lambda *_: release)
    last = line.seen[-1]
    assert (last["event"], last["kind"], last["run"]) == ("send", "train", "r1")
    head = {"lines": last["line"] - 1, "hash": list(bytes.fromhex(last["previous"]))}
    assert last["metrics"] == {"metrics": {"loss": 0.5}, "audit": head}
    assert (last["bytes"], last["sha256"]) == (line.sent.size, line.sent.sha256)
    assert last["bytes"] > 0


def test_a_refusal_with_its_reason_here_and_a_code_there(homes: Homes) -> None:
    def answer(kind: Kind, content: Content) -> Release:  # noqa: ARG001
        raise PolicyRefused("policy.max_rounds", "-")

    line = line_cut(homes, answer)
    last = line.seen[-1]
    assert (last["event"], last["code"]) == ("refused", POLICY_FORBIDS)
    assert "max_rounds" in last["reason"]
    assert (last["bytes"], last["sha256"]) == (line.sent.size, line.sent.sha256)
    assert b"max_rounds" not in b"".join(line.sent.objects.values())


@pytest.mark.parametrize("kind", ["train.foo", "foo", "system.x", ""])
def test_a_message_of_another_kind_is_refused_and_written_down(homes: Homes, kind: str) -> None:
    log = AuditLog(homes.site("alice").audit)
    line = CutLine(log)
    node = Session(line, SimpleNamespace(run="r1", steps=[]), log)  # type: ignore[arg-type]
    with pytest.raises(MessageRefused, match="unknown kind"):
        node._answer(SimpleNamespace(run_id=7, kind=kind))  # type: ignore[arg-type]
    assert "unknown kind" in log.entries()[-1]["reason"]
