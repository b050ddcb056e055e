"""A run with secure aggregation: same model, no single update, and sites that drop out."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from federation_homes import SITES, Homes, set_policy
from memory_runs import MemoryRun, run_in_memory
from more_sites import with_more_sites
from node_processes import Processes
from numpy.typing import NDArray
from secure_sites import make_secure

from ecgfl_cli.errors import PolicyRefused, RequestRefused, StageMissed
from ecgfl_cli.federation.coordinator.rounds import rounds as rounds_module
from ecgfl_cli.federation.messages import Kind, masked_of
from ecgfl_cli.federation.release_steps.chain import restore
from ecgfl_cli.federation.release_steps.step import ReleaseStep, RoundUpdates
from ecgfl_cli.federation.secagg.agreement import Agreement, RoundMember
from ecgfl_cli.federation.secagg.stages import (
    KeysRequest,
    SurvivorsRequest,
    UnmaskRequest,
)
from ecgfl_cli.federation.signed_requests import StageRequest
from ecgfl_cli.federation.simulation.trial import trial
from ecgfl_cli.federation.site.secure_training import SecureTraining
from ecgfl_cli.federation.transport import InMemoryTransport, Reply, Request
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.requests import Asked, RequestLog
from ecgfl_cli.site.settings import load_settings

FOUR = (*SITES, "dave")


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[RoundUpdates]:
    """What the coordinator combines in each round."""
    seen: list[RoundUpdates] = []

    def recorded(steps: Sequence[ReleaseStep], received: RoundUpdates) -> RoundUpdates:
        seen.append(received)
        return restore(steps, received)

    monkeypatch.setattr(rounds_module, "restore", recorded)
    return seen


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Kind, list[Reply]]]:
    """Every phase of the run: what was asked, and the replies."""
    seen: list[tuple[Kind, list[Reply]]] = []
    ask = InMemoryTransport.ask

    def recorded(
        transport: InMemoryTransport, requests: Sequence[Request], timeout: float | None
    ) -> list[Reply]:
        replies = ask(transport, requests, timeout)
        seen.append((requests[0].kind, replies))
        return replies

    monkeypatch.setattr(InMemoryTransport, "ask", recorded)
    return seen


def lose(monkeypatch: pytest.MonkeyPatch, stage: Kind, nodes: set[int]) -> None:
    """Let the replies of these nodes be lost from a stage of the training on."""
    ask = InMemoryTransport.ask
    order = [Kind.KEYS, Kind.SHARES, Kind.TRAIN, Kind.SURVIVORS, Kind.UNMASK]

    def lossy(
        transport: InMemoryTransport, requests: Sequence[Request], timeout: float | None
    ) -> list[Reply]:
        kind = requests[0].kind
        is_lost = kind in order and order.index(kind) >= order.index(stage)
        kept = [each for each in requests if not (is_lost and each.node in nodes)]
        return ask(transport, kept, timeout)

    monkeypatch.setattr(InMemoryTransport, "ask", lossy)


def secure_run(
    homes: Homes, names: Sequence[str], init_from: str | None = None, **options: Any
) -> MemoryRun:
    values = {"rounds": 1, "architecture": "ecgnet", "min_sites": 3, "secagg": True, **options}
    plan = replace(trial("fedavg", values, {}).plan, init_from=init_from)
    return run_in_memory(homes, names, plan=plan)


def trained_alone(homes: Homes, updates: list[RoundUpdates], names: Sequence[str]) -> Any:
    """Return the weights that each site trains, from a plain run of the same sites."""
    for name in names:
        set_policy(homes.site(name), "")
    run_in_memory(homes, names, rounds=1, architecture="ecgnet", min_sites=3)
    return {update.sites[0]: update.weights for update in updates.pop().updates}


def sent(home: Home, kind: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in home.audit.read_bytes().splitlines()]
    return [
        entry["metrics"]["metrics"]
        for entry in entries
        if entry["event"] == "send" and entry["kind"] == kind
    ]


@pytest.mark.slow
def test_the_coordinator_gets_the_mean_and_no_update(
    copied: Callable[[str], Homes],
    updates: list[RoundUpdates],
    asked: list[tuple[Kind, list[Reply]]],
) -> None:
    single: dict[str, NDArray[np.float32]] = trained_alone(copied("plain"), updates, SITES)
    asked.clear()
    homes = copied("secure")
    make_secure(homes, *SITES)
    run = secure_run(homes, SITES)
    assert run.problem is None
    (update,) = updates.pop().updates
    assert update.sites == SITES
    mean = np.mean([single[name].astype(np.float64) for name in SITES], axis=0)
    np.testing.assert_allclose(update.weights, mean, atol=1e-6)
    (training,) = [replies for kind, replies in asked if kind is Kind.TRAIN]
    assert len(training) == 3
    for reply in training:
        assert reply.content.weights is None
        masked = masked_of(reply.content)
        changes = single[SITES[reply.node - 1]] - mean
        assert abs(np.corrcoef(masked.astype(np.int32), changes)[0, 1]) < 0.05
        assert reply.content.figures == {"num-examples": 100}
    for name in SITES:
        assert sent(homes.site(name), "train") == [{"num-examples": 100}]
    assert all(run.joined[name].final == run.final for name in SITES)


@pytest.mark.slow
@pytest.mark.parametrize("stage", [Kind.KEYS, Kind.SHARES, Kind.TRAIN, Kind.SURVIVORS, Kind.UNMASK])
def test_one_of_four_sites_may_be_lost_in_any_stage(
    homes: Homes, updates: list[RoundUpdates], monkeypatch: pytest.MonkeyPatch, stage: Kind
) -> None:
    with_more_sites(homes, "dave")
    make_secure(homes, *FOUR)
    lose(monkeypatch, stage, {2})
    run = secure_run(homes, FOUR)
    assert run.problem is None
    (update,) = updates.pop().updates
    is_counted = stage in (Kind.SURVIVORS, Kind.UNMASK)
    assert ("bob" in update.sites) is is_counted
    assert len(update.sites) == (4 if is_counted else 3)
    assert np.isfinite(update.weights).all()
    assert np.abs(update.weights - run_start(homes, run)).max() < 1


def run_start(homes: Homes, run: MemoryRun) -> NDArray[np.float32]:
    """Return the weights of the model from which a run of one round started."""
    from ecgfl_cli.models.packing import pack

    registry = homes.registry("coordinator")
    parent = registry.entry(run.final).manifest.parent
    assert parent is not None
    return pack(registry.load(parent)[1])


@pytest.mark.slow
@pytest.mark.parametrize("stage", [Kind.KEYS, Kind.SHARES, Kind.TRAIN, Kind.SURVIVORS, Kind.UNMASK])
def test_with_too_few_sites_the_round_ends_without_a_leak(
    homes: Homes,
    updates: list[RoundUpdates],
    asked: list[tuple[Kind, list[Reply]]],
    monkeypatch: pytest.MonkeyPatch,
    stage: Kind,
) -> None:
    make_secure(homes, *SITES)
    lose(monkeypatch, stage, {2})
    run = secure_run(homes, SITES)
    assert run.problem is not None
    assert "2 of 3 sites" in str(run.problem)
    assert not updates
    unmasked = [replies for kind, replies in asked if kind is Kind.UNMASK]
    assert [len(replies) for replies in unmasked] == ([2] if stage is Kind.UNMASK else [])


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("stranger", "policy.peers"),
        ("off", "secure-aggregation"),
    ],
)
def test_a_site_refuses_a_round_that_its_policy_does_not_allow(
    homes: Homes, change: str, value: str
) -> None:
    make_secure(homes, *SITES)
    alice = homes.site("alice")
    if change == "stranger":
        text = alice.settings.read_text()
        first = json.loads(text.partition("peers = ")[2].partition("\n")[0])[0]
        alice.settings.write_text(text.replace(first, "f" * 64))
    else:
        set_policy(alice, "")
    run = secure_run(homes, SITES)
    problem = run.joined["alice"].problem
    assert isinstance(problem, PolicyRefused)
    assert value in str(problem) or "policy.secagg" in str(problem)
    assert problem.exit_code == 5
    assert not sent(alice, "train")


def test_a_site_that_requires_it_sends_no_plain_update(homes: Homes) -> None:
    make_secure(homes, *SITES)
    run = run_in_memory(homes, SITES, rounds=1, architecture="ecgnet", min_sites=3)
    assert run.problem is not None
    for name in SITES:
        assert isinstance(run.joined[name].problem, PolicyRefused)
        assert not sent(homes.site(name), "train")


@pytest.mark.parametrize("strategy", ["median", "trimmed-mean", "krum"])
def test_strategies_that_compare_updates_are_refused(
    ecgfl: Callable[..., Any], homes: Homes, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setenv("ECGFL_HOME", str(homes.coordinator))
    refused = ecgfl("coordinator", "serve", "--secagg", "--min-sites", "5", "--strategy", strategy)
    assert refused.code == 2
    assert "secure-aggregation" in refused.err


def test_two_sites_are_too_few(
    ecgfl: Callable[..., Any], homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECGFL_HOME", str(homes.coordinator))
    refused = ecgfl("coordinator", "serve", "--secagg")
    assert refused.code == 2
    assert "--min-sites 3" in refused.err


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ('secagg = "required"', "peers"),
        ('secagg = "required"\npeers = ["ab"]', "peers"),
        ('secagg = "sometimes"', "secagg"),
    ],
)
def test_an_unusable_policy_is_refused_with_its_line(
    ecgfl: Callable[..., Any], site: Path, lines: str, field: str
) -> None:
    settings = site / "site.toml"
    settings.write_text(f'[site]\nname = "st-mary"\n[policy]\n{lines}\n')
    refused = ecgfl("join", "--server", "localhost:1")
    assert refused.code == 2
    assert field in refused.err


def test_a_dry_run_shows_a_masked_update_and_a_constant(
    ecgfl: Callable[..., Any], homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secure(homes, *SITES)
    monkeypatch.setenv("ECGFL_HOME", str(homes.site("alice").root))
    messages = ecgfl("join", "--dry-run", "--json").json["messages"]
    (training,) = [each for each in messages if each["kind"] == "train"]
    fields = {each["name"]: each for each in training["fields"]}
    assert "arrays/flat" not in fields
    assert fields["arrays/masked"]["kind"].startswith("uint32[")
    assert fields["num-examples"]["value"] == 100
    assert not {"pvcs", "loss"} & fields.keys()


@pytest.mark.slow
def test_a_secure_run_of_real_processes(homes: Homes, processes: Processes) -> None:
    make_secure(homes, *SITES)
    coordinator, port = processes.serve(
        homes.coordinator, "--secagg", "--min-sites", "3", "--rounds", "2"
    )
    joined = [processes.join(homes.site(name).root, port) for name in SITES]
    assert [each.wait() for each in joined] == [0, 0, 0]
    assert coordinator.wait() == 0
    for name in SITES:
        home = homes.site(name)
        assert sent(home, "train") == [{"num-examples": 100}] * 2
        entries = [json.loads(line) for line in home.audit.read_bytes().splitlines()]
        kinds = [entry["kind"] for entry in entries if entry["event"] == "send"]
        stages = ["train.keys", "train.shares", "train", "train.survivors", "train.unmask"]
        assert kinds == [*stages, "evaluate"] * 2
        works = [entry["work"] for entry in entries if entry["event"] == "request"]
        assert works.count("unmask") == 2
        bytes_sent = [entry["bytes"] for entry in entries if entry.get("kind") in stages]
        assert sum(bytes_sent) / 2 < 200 * 1024


@pytest.mark.slow
def test_a_site_that_lost_its_keys_misses_one_round(
    homes: Homes, updates: list[RoundUpdates], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted `join` has the same number as before, and no keys of the round."""
    with_more_sites(homes, "dave")
    make_secure(homes, *FOUR)
    answer = SecureTraining.answer

    def forgetful(
        training: SecureTraining, kind: Kind, request: StageRequest, asked: Asked
    ) -> Release:
        if kind is Kind.SHARES and training._home == homes.site("bob") and len(updates) == 0:
            training._round = None
        return answer(training, kind, request, asked)

    monkeypatch.setattr(SecureTraining, "answer", forgetful)
    run = secure_run(homes, FOUR, rounds=2)
    assert run.problem is None
    first, second = (each.updates[0].sites for each in updates)
    assert first == ("alice", "carol", "dave")
    assert second == FOUR
    assert run.joined["bob"].problem is None
    assert run.joined["bob"].final == run.final


def test_a_round_is_unmasked_once_also_after_a_restart(homes: Homes) -> None:
    make_secure(homes, *SITES)
    alice = homes.site("alice")
    prints = sorted(fingerprint(homes.site(name).node_public_key) for name in SITES)
    agreement = Agreement(
        id="0" * 32,
        run="20260101t000000z",
        round=1,
        version="ecgnet-0001-00000000",
        manifest_sha256="0" * 64,
        plan_sha256="1" * 64,
        members=[RoundMember(site=each) for each in prints],
        threshold=3,
    )
    request = KeysRequest(agreement=agreement)
    policy = load_settings(alice.settings).policy

    def asked(number: int) -> Asked:
        return Asked(f"{number:032x}", agreement.run, "2026-01-02T00:00:00.000+00:00")

    def new_session() -> SecureTraining:
        return SecureTraining(
            alice, policy, fingerprint(alice.node_public_key), RequestLog(alice.audit)
        )

    keys = new_session().answer(Kind.KEYS, request, asked(1)).texts
    again = new_session().answer(Kind.KEYS, request, asked(2)).texts
    assert keys != again  # a round that was not unmasked may begin again, with new keys
    RequestLog(alice.audit).begin(asked(3), "unmask", agreement.version, 1)
    with pytest.raises(RequestRefused, match="unmasked before"):
        new_session().answer(Kind.KEYS, request, asked(4))
    session = new_session()
    later = agreement.model_copy(update={"round": 2})
    session.answer(Kind.KEYS, KeysRequest(agreement=later), asked(6))
    unmask = UnmaskRequest(agreement=later.digest.hex(), signers=[], signatures=[])
    hidden = replace(asked(7), run="another-run")
    with pytest.raises(RequestRefused, match="another-run"):
        session.answer(Kind.UNMASK, unmask, hidden)
    other = SurvivorsRequest(agreement="a" * 64, survivors=prints)
    with pytest.raises(StageMissed):
        new_session().answer(Kind.SURVIVORS, other, asked(5))


@pytest.mark.slow
def test_a_round_that_failed_in_the_last_stage_is_left_with_the_advice(
    homes: Homes, updates: list[RoundUpdates], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secure(homes, *SITES)
    with monkeypatch.context() as lossy:
        lose(lossy, Kind.UNMASK, {2})
        failed = secure_run(homes, SITES)
    assert failed.problem is not None
    assert f"--init-from {failed.final}" in failed.problem.fix
    again = secure_run(homes, SITES)
    assert again.problem is not None
    assert isinstance(again.joined["alice"].problem, RequestRefused)
    assert f"--init-from {failed.final}" in again.joined["alice"].problem.fix
    assert secure_run(homes, SITES, init_from=failed.final).problem is None
    assert len(updates) == 1
