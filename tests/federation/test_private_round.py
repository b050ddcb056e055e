"""A site with [policy.dp] trains with noise, pays for it, and sends no exact figure."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from federation_homes import SITES, Homes, set_policy
from flwr.app import RecordDict
from memory_runs import run_in_memory
from test_site_distrusts_server import Server, sound_vector

from ecgfl_cli.errors import PolicyRefused, ServerRefused
from ecgfl_cli.federation import signed_requests
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.coordinator.runs.plan_file import resolve
from ecgfl_cli.federation.messages import TrainRequest
from ecgfl_cli.federation.site import local_work
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.privacy_policy import PrivacyDemand
from ecgfl_cli.site.settings import load_settings
from ecgfl_cli.training.ledger import budget
from ecgfl_cli.training.ledger.accounting import epsilon_of
from ecgfl_cli.training.ledger.budget import mechanism_of
from ecgfl_cli.training.ledger.ledger import PrivacyLedger
from ecgfl_cli.training.private.plan import PrivatePlan

Ecgfl = Callable[..., Any]

USUAL = {
    "epsilon": 8.0,
    "delta": 0.01,
    "noise_multiplier": 3.0,
    "sampling": 1.0,
    "steps": 2,
    "trained": '"head"',
}


def make_private(home: Home, **changes: object) -> None:
    set_policy(home, "")
    values = {**USUAL, **changes}
    lines = "".join(f"{name} = {value}\n" for name, value in values.items())
    home.settings.write_text(home.settings.read_text() + f"[policy.dp]\n{lines}")


def for_one_round(home: Home) -> None:
    """Leave a budget for one round, and not for two."""
    make_private(home)
    privacy = load_settings(home.settings).policy.dp
    assert privacy is not None
    cost = mechanism_of(privacy)
    one, two = (epsilon_of([cost] * rounds, privacy.delta) for rounds in (1, 2))
    make_private(home, epsilon=round((one + two) / 2, 2))


def sent(ecgfl: Ecgfl, home: Home, kind: str) -> list[dict[str, Any]]:
    """Return the figures that left the site in messages of a kind, from `audit show`."""
    shown = ecgfl("--home", home.root, "audit", "show", "--event", "send", "--json").json
    return [entry["metrics"]["metrics"] for entry in shown["entries"] if entry["kind"] == kind]


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["patient", "row"])
def test_a_private_run_sends_no_exact_figure(homes: Homes, ecgfl: Ecgfl, unit: str) -> None:
    for name in SITES:
        make_private(homes.site(name), unit=f'"{unit}"')
    run = run_in_memory(homes, SITES, rounds=2, architecture="ecgnet")
    assert run.problem is None
    assert [result.sites for result in run.rounds] == [list(SITES)] * 2
    for name in SITES:
        home = homes.site(name)
        assert sent(ecgfl, home, "train") == [{"num-examples": 100}] * 2
        assert sent(ecgfl, home, "evaluate") == [{"num-examples": 0}] * 2
        (cohort,) = PrivacyLedger(home).cohorts()
        assert [item.line.round for item in cohort.reservations] == [1, 2]
        assert {item.line.unit for item in cohort.reservations} == {unit}
        assert run.joined[name].final == run.final


@pytest.mark.slow
def test_a_run_asks_every_site_for_the_protection_of_its_plan(homes: Homes) -> None:
    """A site with more noise keeps it; one without differential privacy is left out."""
    make_private(homes.site("alice"))
    make_private(homes.site("bob"), noise_multiplier=6.0)
    plan = resolve(None, {"architecture": "ecgnet", "rounds": 1, "min_sites": 2})
    demand = PrivacyDemand(noise_multiplier=5.0, steps=1)
    run = run_in_memory(homes, SITES, plan=replace(plan, privacy=demand))
    assert run.problem is None
    (only,) = run.rounds
    assert only.sites == ["alice", "bob"]
    assert [reply.site for reply in only.dropped] == ["carol"]
    asked = {"sampling": 1.0, "steps": 1}
    assert reserved(homes.site("alice")) == [asked | {"noise_multiplier": 5.0}]
    assert reserved(homes.site("bob")) == [asked | {"noise_multiplier": 6.0}]
    (report,) = homes.coordinator_home.reports.glob("*.json")
    assert json.loads(report.read_text())["plan"]["privacy"] == "noise_multiplier = 5.0, steps = 1"


def server_of(homes: Homes, prepare: Callable[[Home], None]) -> Server:
    prepare(homes.site("alice"))
    return Server(homes, load_signing_key(homes.coordinator_home))


def test_the_same_request_twice_has_other_noise(homes: Homes) -> None:
    server = server_of(homes, make_private)
    vector = sound_vector()
    weights = [server.leaves(server.content(vector=vector)).weights for _ in range(2)]
    assert not np.allclose(weights[0], weights[1], atol=1e-5)
    assert not np.allclose(weights[0], vector, atol=1e-5)


def test_a_spent_budget_refuses_the_request(homes: Homes) -> None:
    server = server_of(homes, for_one_round)
    server.send(server.content())
    with pytest.raises(PolicyRefused, match=r"privacy budget.*policy\.dp\.epsilon"):
        server.send(server.content())
    (cohort,) = PrivacyLedger(homes.site("alice")).cohorts()
    assert len(cohort.reservations) == 1


def test_join_ends_before_it_connects_when_the_budget_is_spent(homes: Homes, ecgfl: Ecgfl) -> None:
    server = server_of(homes, for_one_round)
    server.send(server.content())
    home = homes.site("alice")
    ran = ecgfl("--home", home.root, "join", "--server", "localhost:1", "--once")
    assert ran.code == 5
    assert "privacy budget" in ran.problems[0]
    assert "localhost:1" not in ran.err


def test_privacy_shows_what_is_spent_and_left(homes: Homes, ecgfl: Ecgfl) -> None:
    home = homes.site("alice")
    ran = ecgfl("--home", home.root, "--json", "privacy")
    assert (ran.code, ran.json["dp"], ran.json["cohorts"]) == (0, None, [])
    server = server_of(homes, make_private)
    (new,) = ecgfl("--home", home.root, "--json", "privacy").json["cohorts"]
    assert (new["number"], new["spent"], new["left"]) == (None, 0.0, 8.0)
    server.send(server.content())
    result = ecgfl("--home", home.root, "--json", "privacy").json
    (cohort,) = result["cohorts"]
    assert cohort["patients"] == new["patients"]
    assert (cohort["number"], cohort["rounds"]) == (1, 1)
    assert cohort["rounds_left"] == new["rounds_left"] - 1
    assert 0 < cohort["spent_by_fixed_plan"] <= cohort["spent"] < 8
    assert cohort["spent"] + cohort["left"] == pytest.approx(8)
    (paid,) = result["history"]
    assert (paid["cohort"], paid["round"], paid["mechanism"]["steps"]) == (1, 2, 2)
    shown = ecgfl("--home", home.root, "privacy")
    assert f"{cohort['spent']:.2f}" in shown.out
    assert str(cohort["rounds_left"]) in shown.out


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"epsilon": 0}, 2, "policy.dp.epsilon = 0"),
    ({"epsilon": -1.0}, 2, "policy.dp.epsilon = -1"),
    ({"epsilon": 1000.0}, 2, "policy.dp.epsilon = 1000"),
    ({"epsilon": "nan"}, 2, "policy.dp.epsilon = nan"),
    ({"epsilon": 0.001}, 5, "one round costs epsilon"),
    ({"noise_multiplier": 0.0}, 2, "policy.dp.noise_multiplier = 0"),
    ({"noise_multiplier": 0.5}, 5, "one round costs epsilon"),
    ({"sampling": 1.5}, 2, "policy.dp.sampling = 1.5"),
    ({"sampling": 0.0}, 2, "policy.dp.sampling = 0"),
    ({"steps": 0}, 2, "policy.dp.steps = 0"),
    ({"max_grad_norm": "inf"}, 2, "policy.dp.max_grad_norm = inf"),
    ({"unit": '"beat"'}, 2, "policy.dp.unit = 'beat'"),
    ({"delta": 0.5}, 2, "policy.dp.delta = 0.5"),
    ({"delta": 0.0}, 2, "policy.dp.delta = 0"),
]


@pytest.mark.parametrize(("changes", "code", "words"), REFUSED)
def test_an_absurd_setting_is_refused(
    homes: Homes, ecgfl: Ecgfl, changes: dict[str, object], code: int, words: str
) -> None:
    home = homes.site("alice")
    make_private(home, **changes)
    ran = ecgfl("--home", home.root, "join", "--server", "localhost:1", "--once")
    assert ran.code == code
    assert words in " ".join(ran.problems)
    assert not home.privacy.exists()


def test_too_few_patients_with_budget_are_refused(homes: Homes, ecgfl: Ecgfl) -> None:
    home = homes.site("alice")
    make_private(home)
    text = home.settings.read_text()
    home.settings.write_text(
        text.replace("min_training_patients = 1", "min_training_patients = 50")
    )
    ran = ecgfl("--home", home.root, "join", "--server", "localhost:1", "--once")
    assert ran.code == 5
    assert "policy.min_training_patients = 50" in ran.problems[0]


JOIN = ("join", "--server", "localhost:1", "--once", "--max-wait", "1s")


def test_every_instruction_about_lost_logs_works(homes: Homes, ecgfl: Ecgfl) -> None:
    """Both logs are lost: each message names the next step, until new patients are needed."""
    server = server_of(homes, make_private)
    server.send(server.content())
    home = homes.site("alice")
    backup = {path: path.read_bytes() for path in home.root.glob("privacy.*")}
    for path in (home.audit, home.audit.with_suffix(".head"), *backup):
        path.unlink()
    ran = ecgfl("--home", home.root, *JOIN)
    assert (ran.code, "`ecgfl audit restart --reason TEXT`" in ran.problems[0]) == (3, True)
    assert ecgfl("--home", home.root, "audit", "restart", "--reason", "lost").code == 0
    for _ in range(2):
        ran = ecgfl("--home", home.root, *JOIN)
        assert (ran.code, "`ecgfl privacy --restart REASON`" in ran.problems[0]) == (3, True)
        assert "missing or empty" in ran.problems[0]
    for path, content in backup.items():
        path.write_bytes(content)
    assert ecgfl("--home", home.root, *JOIN).code == 4  # nobody listens there
    for path in backup:
        path.unlink()
    assert ecgfl("--home", home.root, "privacy", "--restart", "lost").code == 0
    ran = ecgfl("--home", home.root, *JOIN)
    assert (ran.code, "Ingest recordings of new patients" in ran.problems[0]) == (5, True)
    assert ecgfl("--home", home.root, "audit", "verify").code == 0


def test_a_site_that_never_trained_privately_can_begin_after_it_lost_its_audit_log(
    homes: Homes, ecgfl: Ecgfl
) -> None:
    home = homes.site("alice")
    set_policy(home, "")
    home.audit.unlink()
    home.audit.with_suffix(".head").unlink()
    assert ecgfl("--home", home.root, "audit", "restart", "--reason", "lost").code == 0
    make_private(home)
    assert ecgfl("--home", home.root, *JOIN).code == 4


def test_a_delta_that_is_too_large_for_the_patients_is_refused(
    homes: Homes, ecgfl: Ecgfl, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = homes.site("alice")
    crowd = [SimpleNamespace(patient=f"patient-{number}") for number in range(200)]
    monkeypatch.setattr(budget, "rows_of", lambda *_: crowd)
    make_private(home, delta=0.005)
    join = ("--home", home.root, "join", "--server", "localhost:1", "--once", "--max-wait", "1s")
    ran = ecgfl(*join)
    assert ran.code == 5
    assert "policy.dp.delta = 0.005 is not below 1/200" in ran.problems[0]
    advised = re.search(r"Set policy\.dp\.delta to ([0-9.e-]+) or less", ran.problems[0])
    assert advised is not None
    make_private(home, delta=float(advised[1]))
    assert ecgfl(*join).code == 4  # nobody listens there
    assert not home.privacy.exists()


def test_a_lost_ledger_stops_join(homes: Homes, ecgfl: Ecgfl) -> None:
    server = server_of(homes, make_private)
    server.send(server.content())
    home = homes.site("alice")
    for path in (home.privacy, home.privacy.with_suffix(".head")):
        Path(path).unlink()
    ran = ecgfl("--home", home.root, "join", "--server", "localhost:1", "--once")
    assert ran.code == 3
    assert "Restore privacy.jsonl" in ran.problems[0]
    assert ecgfl("--home", home.root, "privacy").code == 3


def demanding(server: Server, demand: dict[str, Any]) -> RecordDict:
    vector = sound_vector()
    return server.seal(
        TrainRequest(
            model=server.sign(server.manifest(vector)),
            epochs=1,
            learning_rate=1e-3,
            batch_size=256,
            seed=1,
            privacy=PrivacyDemand.model_validate(demand),
        ),
        vector,
    )


def reserved(home: Home) -> list[dict[str, Any]]:
    (cohort,) = PrivacyLedger(home).cohorts()
    return [item.line.mechanism.model_dump() for item in cohort.reservations]


def test_the_stricter_of_policy_and_demand_is_used_and_accounted_for(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_of(homes, make_private)
    plans: list[PrivatePlan] = []
    train = local_work.train_privately

    def watched(*arguments: Any) -> None:
        plans.append(arguments[3])
        train(*arguments)

    monkeypatch.setattr(local_work, "train_privately", watched)
    weaker = {"noise_multiplier": 1.0, "max_grad_norm": 9.0, "steps": 7, "trained": "all"}
    stricter = {
        "noise_multiplier": 5.0,
        "max_grad_norm": 0.5,
        "steps": 1,
        "sampling": 0.25,
        "trained": "last-layer",
    }
    for demand in ({}, weaker, {"steps": 1}, stricter):
        server.send(demanding(server, demand))
    home = homes.site("alice")
    ours = {"noise_multiplier": 3.0, "sampling": 1.0, "steps": 2}
    asked = {"noise_multiplier": 5.0, "sampling": 0.25, "steps": 1}
    assert reserved(home) == [ours, ours, ours | {"steps": 1}, asked]
    assert [(plan.max_grad_norm, plan.trained) for plan in plans] == [(1.0, "head")] * 3 + [
        (0.5, "last-layer")
    ]
    for plan, paid in zip(plans, reserved(home), strict=True):
        done = (plan.noise_multiplier, plan.sampling, plan.steps)
        assert done == tuple(paid.values())


def test_a_site_without_differential_privacy_refuses_a_demand(homes: Homes) -> None:
    server = server_of(homes, lambda home: set_policy(home, ""))
    with pytest.raises(PolicyRefused, match=r"steps = 1.*\[policy\.dp\]"):
        server.send(demanding(server, {"steps": 1}))


@pytest.mark.parametrize(
    "demand", [{"epsilon": 9.0}, {"steps": 0}, {"sampling": 0.0}, {"noise_multiplier": 1e9}]
)
def test_an_invalid_demand_is_refused(
    homes: Homes, demand: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = server_of(homes, make_private)
    fields_of = signed_requests._fields_of
    monkeypatch.setattr(
        signed_requests, "_fields_of", lambda request: {**fields_of(request), "privacy": demand}
    )
    with pytest.raises(ServerRefused, match="privacy"):
        server.send(demanding(server, {}))
    assert not homes.site("alice").privacy.exists()


def row(ecgfl: Ecgfl, home: Home, name: str) -> dict[str, Any]:
    checks = ecgfl("--home", home.root, "--json", "doctor").json["checks"]
    return next(check for check in checks if check["name"] == name)


def test_doctor_warns_of_a_policy_that_is_weaker_than_recommended(
    homes: Homes, ecgfl: Ecgfl
) -> None:
    home = homes.site("alice")
    set_policy(home, "")
    state = row(ecgfl, home, "differential privacy")["state"]
    assert "weaker than recommended: no [policy.dp]" in state
    make_private(home, unit='"row"', noise_multiplier=3.0, trained='"last-layer"')
    state = row(ecgfl, home, "differential privacy")["state"]
    assert 'unit = "row" (default "patient")' in state
    assert "noise_multiplier = 3.0 (default 4.0)" in state
    assert "delta = 0.01 (default 1e-05)" in state
    assert "trained" not in state.partition("weaker")[2]
    assert "dp." not in row(ecgfl, home, "policy")["state"]
    home.settings.write_text(home.settings.read_text().partition("[policy.dp]")[0])
    home.settings.write_text(home.settings.read_text() + "[policy.dp]\n")
    assert "weaker" not in row(ecgfl, home, "differential privacy")["state"]


def test_doctor_shows_the_budget_and_a_broken_ledger(homes: Homes, ecgfl: Ecgfl) -> None:
    server = server_of(homes, for_one_round)
    home = homes.site("alice")
    before = row(ecgfl, home, "privacy budget")
    assert (before["problem"], "(1 rounds)" in before["state"]) == (None, True)
    server.send(server.content())
    assert "privacy budget is spent" in row(ecgfl, home, "privacy budget")["problem"]
    home.privacy.unlink()
    broken = row(ecgfl, home, "privacy budget")
    assert "privacy.jsonl: missing or empty" in broken["problem"]
    assert "ecgfl privacy --restart" in broken["fix"]


def test_a_dry_run_spends_nothing_and_refuses_what_a_join_would(homes: Homes, ecgfl: Ecgfl) -> None:
    home = homes.site("alice")
    make_private(home)
    assert ecgfl("--home", home.root, "segment", "--arch", "beatnet").code == 0
    ran = ecgfl("--home", home.root, "--json", "join", "--dry-run")
    assert ran.code == 0, ran.err
    assert not home.privacy.exists()
    train = next(draft for draft in ran.json["messages"] if draft["kind"] == "train")
    assert {field["name"] for field in train["fields"]} >= {"num-examples", "arrays/flat"}
    for changes, code, words in REFUSED:
        make_private(home, **changes)
        refused = ecgfl("--home", home.root, "join", "--dry-run")
        assert (refused.code, words in refused.problems[0]) == (code, True), refused.problems
        assert len(refused.problems) == 1
        assert not home.privacy.exists()


def test_an_empty_sample_gives_noise_alone(homes: Homes) -> None:
    """Nobody is sampled in any step; the round is paid for, and a reply leaves."""
    server = server_of(homes, lambda home: make_private(home, sampling=1e-6))
    vector = sound_vector()
    weights = server.leaves(server.content(vector=vector)).weights
    assert weights is not None
    assert np.isfinite(weights).all()
    assert not np.array_equal(weights, vector)
    assert len(reserved(homes.site("alice"))) == 1
