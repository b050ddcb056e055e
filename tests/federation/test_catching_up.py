"""A site that was away receives the last run's final model when it joins, also without a round."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from fake_messages import delivered
from federation_homes import Homes
from flwr.app import RecordDict
from log_lines import Heard
from node_processes import Ended, Processes, told
from test_site_distrusts_server import Server, sound_vector

from ecgfl_cli.errors import EcgflError, ModelRejected, PolicyRefused, RequestRefused, ServerRefused
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.flower.codec import content_of, record_of
from ecgfl_cli.federation.flower.fleet import FleetConnection
from ecgfl_cli.federation.messages import (
    VERDICTS,
    CatchUpReply,
    CatchUpRequest,
    Content,
    EvaluateRequest,
    Kind,
    read_reply,
)
from ecgfl_cli.federation.signed_requests import LINEAGE, with_lineage
from ecgfl_cli.federation.site.session import Session
from ecgfl_cli.federation.transport import Delivered, RunOver
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.audit import AuditLog, without_finished_intents
from ecgfl_cli.site.outbox import Release

VERSION = "ecgnet-0005-abcdef01"
QUERY = Delivered("query", Content(), delivered(RecordDict(), "query"))
LINE = SimpleNamespace(outgoing=FleetConnection.outgoing)


def events(homes: Homes, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in homes.site(name).audit.read_text().splitlines()]


@pytest.fixture(scope="module")
def without_carol(copied: Callable[[str], Homes], module_processes: Processes) -> tuple[Homes, str]:
    """A finished run of Alice and Bob, and its final model."""
    homes = copied("first-run")
    server, port = module_processes.serve(homes.coordinator, "--rounds", "1")
    for join in [module_processes.join(homes.site(name).root, port) for name in ("alice", "bob")]:
        assert join.finish().code == 0
    served = server.finish().result
    assert (served["absent"], served["rounds"][0]["absent"]) == (["carol"], ["carol"])
    assert any("training at alice, bob; absent: carol" in line for line in server.said)
    (page,) = homes.coordinator_home.reports.glob("*.html")
    assert "carol" in page.read_text()
    assert told(homes.coordinator, "coordinator", "status").result["absent"] == ["carol"]
    return homes, served["model"]


@pytest.fixture(scope="module")
def next_run(without_carol: tuple[Homes, str], module_processes: Processes) -> list[Ended]:
    """How Carol's visits to a coordinator that needs three sites ended: two alone, one in a run."""
    homes, _ = without_carol
    server, port = module_processes.serve(homes.coordinator, "--rounds", "1", "--min-sites", "3")
    visits = [
        module_processes.join(homes.site("carol").root, port, max_wait="4s").finish()
        for _ in range(2)
    ]
    joins = [
        module_processes.join(homes.site(name).root, port) for name in ("carol", "alice", "bob")
    ]
    visits += [join.finish() for join in joins]
    assert server.finish().code == 0, server.said
    return visits


@pytest.mark.slow
def test_it_comes_without_a_round(without_carol: tuple[Homes, str], next_run: list[Ended]) -> None:
    homes, version = without_carol
    alone = next_run[0]
    assert alone.code == 0, alone.said
    assert (alone.result["participated"], alone.result["rounds"], alone.result["version"]) == (
        False,
        0,
        None,
    )
    assert alone.result["caught_up"]["version"] == version
    assert alone.result["caught_up"]["acceptance"]["accepted"] is True
    log = events(homes, "carol")
    told_by_log = [entry["event"] for entry in without_finished_intents(log)]
    visit = told_by_log[told_by_log.index("policy") : told_by_log.index("leave")]
    assert visit == [
        "policy",
        "join",
        "signing-keys-changed",
        "request",
        "model-received",
        "model-promoted",
        "send",
    ]
    sent = next(entry for entry in log if entry["event"] == "send")
    assert (sent["kind"], set(sent["metrics"])) == ("query", {"metrics", "audit"})
    assert VERDICTS[sent["metrics"]["metrics"]["verdict"]] == "not-worse"
    verified = told(homes.site("carol").root, "model", "verify")
    assert (verified.code, verified.result["missing_parent"]) == (0, None)
    made = [entry.manifest.version for entry in homes.registry("coordinator").entries()[::-1]]
    starter = starter_registry().current()
    assert verified.result["lineage"] == [*made, starter], "the run that it missed is traced, too"
    assert told(homes.site("carol").root, "audit", "verify").code == 0


@pytest.mark.slow
def test_it_comes_once(next_run: list[Ended]) -> None:
    again = next_run[1]
    assert (again.code, again.result["participated"], again.result["caught_up"]) == (0, False, None)


@pytest.mark.slow
def test_the_run_goes_on_from_it_at_all_sites(
    without_carol: tuple[Homes, str], next_run: list[Ended]
) -> None:
    homes, version = without_carol
    for ended in next_run[2:]:
        assert ended.code == 0, ended.said
        assert (ended.result["participated"], ended.result["caught_up"]) == (True, None)
    last = homes.registry("coordinator").entries()[-1].manifest
    assert last.version != version
    shown = told(homes.coordinator, "coordinator", "model", "show", version).result
    assert set(shown["verdicts"]) == {"alice", "bob", "carol"}, "who was away told when it came"
    assert {homes.registry(name).current() for name in ("alice", "bob", "carol")} == {last.version}


@pytest.fixture
def server(homes: Homes) -> Server:
    return Server(homes, load_signing_key(homes.coordinator_home))


def hand_on(server: Server, seed: int = 0, **changes: Any) -> RecordDict:
    """The query that brings a model; a final one unless told otherwise."""
    vector = sound_vector(seed)
    signed = server.sign(server.manifest(vector, **{"round": 3, **changes}))
    return server.seal(CatchUpRequest(model=signed), vector, run="r2")


def test_the_reply_tells_whether_the_model_is_accepted(server: Server) -> None:
    taken = server.send(hand_on(server), "query")
    assert server.homes.registry("alice").current() == VERSION
    again = server.send(hand_on(server), "query")
    for answer in (taken, again):
        assert answer.weights is None
        assert set(answer.figures) == {"nonce", "verdict"}
        received = read_reply(Content(figures=answer.figures), CatchUpReply)
        assert VERDICTS[received.verdict or 0] == "not-worse"
    assert taken.figures != again.figures, "no two answers are one part in Flower's store"
    assert [entry["event"] for entry in events(server.homes, "alice")].count("model-received") == 1


def test_an_older_one_than_what_is_here_changes_nothing(server: Server) -> None:
    server.send(hand_on(server), "query")
    server.send(hand_on(server, 1, sequence=4, version="ecgnet-0004-00000000"), "query")
    assert [entry.manifest.version for entry in server.homes.registry("alice").entries()] == [
        VERSION
    ]


def test_one_that_a_person_went_back_from_is_not_pressed_on_them(server: Server) -> None:
    server.send(hand_on(server), "query")
    assert told(server.homes.site("alice").root, "model", "rollback").code == 0
    server.send(hand_on(server), "query")
    assert server.homes.registry("alice").current() is None


def test_one_whose_test_was_cut_short_is_tested_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            "ecgfl_cli.federation.site.participant.consider",
            lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            server.send(hand_on(server), "query")
    assert server.homes.registry("alice").current() is None
    server.send(hand_on(server), "query")
    assert server.homes.registry("alice").current() == VERSION


REFUSED: dict[str, tuple[Callable[[Server], RecordDict], type[EcgflError]]] = {
    "from the midst of a run": (lambda server: hand_on(server, round=2), ServerRefused),
    "of an architecture outside the policy": (
        lambda server: hand_on(server, architecture="transformer"),
        PolicyRefused,
    ),
    "other weights than the signed": (
        lambda server: hand_on(server, weights_sha256="0" * 64),
        ModelRejected,
    ),
    "another request": (lambda server: another_request(server), ServerRefused),
}


def another_request(server: Server) -> RecordDict:
    content = server.content("evaluate")
    assert EvaluateRequest.model_fields.keys() == CatchUpRequest.model_fields.keys()
    return content


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_right_is_refused(server: Server, name: str) -> None:
    content, error = REFUSED[name]
    with pytest.raises(error):
        server.send(content(server), "query")
    assert server.homes.registry("alice").entries() == []


def test_policy_does_not_limit_the_length_of_a_finished_run(server: Server) -> None:
    server.send(hand_on(server, round=201, rounds=201), "query")
    assert server.homes.registry("alice").current() == VERSION


def test_site_that_refuses_a_model_takes_part_in_the_next_round(homes: Homes) -> None:
    log = AuditLog(homes.site("alice").audit)
    offered = [SimpleNamespace(kind="query", run_id=7), SimpleNamespace(kind="train", run_id=8)]
    sent: list[object] = []

    def answer(kind: Kind, content: Content) -> Release:  # noqa: ARG001
        raise PolicyRefused("this site does not want it", "-")

    connection = SimpleNamespace(
        node_id=1,
        was_delayed=False,
        receive=lambda _: offered.pop(0),
        is_ours=lambda _: True,
        fetch=lambda _: QUERY,
        pack=lambda release, to: FleetConnection.pack(LINE, release, to),  # type: ignore[arg-type]
        send=sent.append,
    )
    heard = Heard()
    node = Session(connection, SimpleNamespace(answer=answer, run=None, steps=[]), log)  # type: ignore[arg-type]
    assert node.wait(time.monotonic() + 60)
    assert offered == [], "it went on to the round"
    assert len(sent) == 1
    assert "this site does not want it" in heard.lines[0]
    assert log.entries()[-1]["event"] == "refused"


@pytest.mark.parametrize("call", ["is_ours", "fetch", "send"])
def test_one_whose_run_ends_meanwhile_is_let_go(homes: Homes, call: str) -> None:
    offered = [SimpleNamespace(kind="query", run_id=7), SimpleNamespace(kind="train", run_id=8)]

    def over(*_: object) -> None:
        raise RunOver

    calls = {
        "is_ours": lambda _: True,
        "fetch": lambda _: QUERY,
        "send": lambda _: True,
        call: over,
    }
    connection = SimpleNamespace(
        node_id=1,
        was_delayed=False,
        receive=lambda _: offered.pop(0),
        pack=lambda release, to: FleetConnection.pack(LINE, release, to),  # type: ignore[arg-type]
        **calls,
    )
    participant = SimpleNamespace(answer=lambda *_: Release("query"), run=None, steps=[])
    node = Session(connection, participant, AuditLog(homes.site("alice").audit))  # type: ignore[arg-type]
    assert node.wait(time.monotonic() + 60)
    assert offered == []


def test_a_wrong_ancestor_is_refused(server: Server) -> None:
    vector = sound_vector(0)
    parent = server.sign(server.manifest(vector, sequence=4, version="ecgnet-0004-00000000"))
    other = server.sign(server.manifest(vector, sequence=3, version="ecgnet-0003-00000000"))
    names = {"parent": "ecgnet-0004-00000000", "parent_manifest": parent.sha256}
    message = content_of(hand_on(server, **names))
    with pytest.raises(ModelRejected, match="ecgnet-0004"):
        server.send(record_of(with_lineage(message, [other])), "query")
    with pytest.raises(ServerRefused, match="schema"):
        server.send(record_of(replace(message, texts={**message.texts, LINEAGE: "[1]"})), "query")
    assert server.homes.registry("alice").entries() == []
    server.send(record_of(with_lineage(content_of(hand_on(server, **names)), [parent])), "query")
    assert list(server.homes.registry("alice").pruned()) == ["ecgnet-0004-00000000"]


def test_a_signature_of_another_key_is_refused(server: Server) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    server.key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(RequestRefused, match="signature"):
        server.send(hand_on(server), "query")
