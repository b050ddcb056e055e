"""What site.toml forbids is not done, and is refused before the site's data is touched."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fake_rounds import LENGTH, Rounds
from federation_homes import Homes, set_policy
from node_processes import told
from test_site_distrusts_server import Server, no_data, refused, sound_vector  # noqa: F401

from ecgfl_cli.errors import EcgflError, PolicyRefused
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.messages import (
    EvaluateReply,
    TrainReply,
    TrainRequest,
    content_of_release,
    figures_of,
)
from ecgfl_cli.federation.release_steps.withhold_figures import WithholdFigures
from ecgfl_cli.processes import give_way
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.outbox import Release, prepared
from ecgfl_cli.site.policy import METRICS
from ecgfl_cli.site.requests import Asked, RequestLog
from ecgfl_cli.site.settings import SiteSettings, load_settings


def outside_the_hours() -> str:
    """Hours that begin two hours from now and end an hour later."""
    begin = datetime.now() + timedelta(hours=2)
    return f'hours = "{begin:%H:%M}-{begin + timedelta(hours=1):%H:%M}"'


HOURS_ELSEWHERE = outside_the_hours()


def under(homes: Homes, policy: str) -> Server:
    set_policy(homes.site("alice"), policy)
    return Server(homes, load_signing_key(homes.coordinator_home))


@pytest.mark.parametrize(
    "policy",
    [
        *(
            'architectures = ["beatnet"]',
            "architectures = []",
            "max_rounds = 2",
            "max_local_epochs = 1",
        ),
        *("max_learning_rate = 0.0005", "max_batch_size = 100", HOURS_ELSEWHERE),
        *(
            "min_learning_rate = 0.005",
            "min_batch_size = 300",
            "max_proximal_mu = 0.4",
            "min_training_beats = 100000",
        ),
        *(
            "min_training_recordings = 100",
            "min_training_patients = 3",
            "min_training_pvcs = 100000",
        ),
    ],
)
@pytest.mark.usefixtures("no_data")
def test_what_the_policy_forbids_is_refused_before_data_is_touched(
    homes: Homes, policy: str
) -> None:
    server = under(homes, policy)
    signed = server.sign(server.manifest(sound_vector()))
    plan = TrainRequest(
        model=signed, epochs=2, learning_rate=1e-3, batch_size=256, seed=1, proximal_mu=0.5
    )
    refused(server, server.seal(plan, sound_vector()), PolicyRefused)


def test_too_few_beats_are_refused(homes: Homes) -> None:
    server = under(homes, "min_training_beats = 100000")
    assert "min_training_beats" in refused(server, server.content(), PolicyRefused)


def test_architecture_that_is_not_installed_is_refused(
    homes: Homes,
) -> None:
    server = under(homes, 'architectures = ["ecgnet", "beatnet9"]')
    signed = server.sign(server.manifest(sound_vector(), architecture="beatnet9"))
    message = refused(server, server.content(signed=signed), EcgflError)
    assert "beatnet9" in message


def settings(homes: Homes, policy: str) -> SiteSettings:
    under(homes, policy)
    return load_settings(homes.site("alice").settings)


def test_a_settings_file_from_before_these_keys_keeps_its_meaning(homes: Homes) -> None:
    policy = settings(homes, "max_local_epochs = 5").policy
    assert (policy.hours, policy.coordinators, policy.niceness) == (None, [], 0)
    assert policy.metrics == list(METRICS)


@pytest.mark.parametrize(
    "policy",
    [
        *(
            'hours = "22-06"',
            'hours = "22:00-22:00"',
            'hours = "25:00-06:00"',
            "hours = 22",
            "niceness = 20",
            "niceness = -1",
        ),
        *(
            'metrics = ["patients"]',
            "max_rounds_a_day = 0",
            "acceptance_margin = 1.5",
            'coordinators = "key"',
        ),
        *(
            "min_steps = 0",
            "max_loss_ratio = 0.5",
            "from_scratch = 1",
            "max_measurements = 0",
            "min_held_out_beats = 0",
        ),
    ],
)
def test_a_policy_that_means_nothing_is_named(homes: Homes, policy: str) -> None:
    set_policy(homes.site("alice"), policy)
    line = told(homes.site("alice").root, "join", "--dry-run").refused(2)
    assert f"policy.{policy.split(' ')[0]}" in line


def test_the_figures_that_may_leave_are_all_there_are() -> None:
    names = {*TrainReply.model_fields, *EvaluateReply.model_fields} - {"examples"}
    assert names == set(METRICS)


@pytest.mark.parametrize("kind", ["train", "evaluate"])
@pytest.mark.parametrize("allowed", [[], ["loss"], ["pvcs", "precision"]])
def test_figures_that_may_not_leave_are_left_out(
    homes: Homes, kind: str, allowed: list[str]
) -> None:
    server = under(homes, f"metrics = {allowed}")
    metrics = server.leaves(server.content(kind), kind).figures
    assert set(metrics) <= {"num-examples", *allowed}
    assert set(metrics) >= {"num-examples", *({"loss", "pvcs"} & set(allowed))}


@pytest.mark.usefixtures("no_data")
def test_rounds_are_counted_over_restarts(homes: Homes) -> None:
    audit = AuditLog(homes.site("alice").audit)
    for _ in range(3):
        audit.append("send", kind="train", bytes=1, sha256="0" * 64, metrics={})
    server = under(homes, "max_rounds_a_day = 3")
    assert "max_rounds_a_day" in refused(server, server.content(), PolicyRefused)


def test_rounds_of_the_day_before_do_not_count(homes: Homes) -> None:
    home = homes.site("alice")
    audit = AuditLog(home.audit)
    audit.append("send", kind="train", bytes=1, sha256="0" * 64, metrics={})
    audit.append("send", kind="evaluate", bytes=1, sha256="0" * 64, metrics={"kind": "train"})
    now = datetime.now(UTC)
    log = RequestLog(home.audit)
    for work in ("train", "measure"):
        assert log.in_a_day(work, now) == 1
        assert log.in_a_day(work, now + timedelta(hours=23)) == 1
        assert log.in_a_day(work, now + timedelta(hours=25)) == 0
    assert RequestLog(home.root / "nothing").in_a_day("train", now) == 0


def test_a_request_counts_and_its_answer_does_not_count_again(homes: Homes) -> None:
    home = homes.site("alice")
    audit, log = AuditLog(home.audit), RequestLog(home.audit)
    for number in range(2):  # from before requests were logged
        audit.append("send", kind="train", run="r1", bytes=number, sha256="0" * 64, metrics={})
    for number in range(3):
        log.begin(
            Asked(f"{number:032x}", "r1", "2026-01-01T00:00:00+00:00"),
            "train",
            "beatnet-0001-00000000",
            number + 1,
        )
        audit.append("send", kind="train", run="r1", bytes=number, sha256="0" * 64, metrics={})
    assert log.in_run("train", "r1") == 5
    assert (log.in_round("train", "r1", 3), log.in_round("train", "r1", 4)) == (1, 0)
    assert log.trainings_sent(datetime.now(UTC)) == 5
    assert RequestLog(home.audit).is_known(f"{2:032x}")
    assert not RequestLog(home.audit).is_known(f"{3:032x}")


def test_more_rounds_than_agreed_are_refused_after_a_restart_too(homes: Homes) -> None:
    audit = AuditLog(homes.site("alice").audit)
    for run in ("r1", "r1", "r1", "r0"):
        audit.append("send", kind="train", run=run, bytes=1, sha256="0" * 64, metrics={})
    assert RequestLog(homes.site("alice").audit).in_run("train", "r1") == 3
    server = under(homes, "max_rounds = 3")
    assert "max_rounds" in refused(server, server.content(), PolicyRefused)
    assert server.send(server.content("evaluate"), "evaluate").figures, (
        "the last model is still measured and received"
    )


def test_a_run_of_200_rounds_is_within_the_defaults(homes: Homes) -> None:
    """With a measurement after each round, and the last run's model before the first."""
    audit, log = AuditLog(homes.site("alice").audit), RequestLog(homes.site("alice").audit)
    expires = "2999-01-01T00:00:00+00:00"
    log.begin(Asked(f"{0:032x}", "r1", expires), "measure", "ecgnet-0001-00000000", 5)
    for number in range(1, 200):
        log.begin(
            Asked(f"{2 * number:032x}", "r1", expires), "train", "ecgnet-0001-00000000", number
        )
        audit.append("send", kind="train", run="r1", bytes=1, sha256="0" * 64, metrics={})
        log.begin(
            Asked(f"{2 * number + 1:032x}", "r1", expires),
            "measure",
            "ecgnet-0001-00000000",
            number,
        )
    server = under(homes, "")
    parent = server.sign(server.manifest(sound_vector(), round=199, rounds=200))
    assert server.send(server.content(signed=parent)).figures
    audit.append("send", kind="train", run="r1", bytes=1, sha256="0" * 64, metrics={})
    names = {"version": "ecgnet-0006-abcdef01", "sequence": 6}
    final = server.sign(server.manifest(sound_vector(), round=200, rounds=200, **names))
    assert server.send(server.content("evaluate", signed=final), "evaluate").figures
    names = {"version": "ecgnet-0007-abcdef01", "sequence": 7}
    more = server.sign(server.manifest(sound_vector(), round=199, rounds=200, **names))
    with pytest.raises(PolicyRefused, match="max_rounds"):
        server.send(server.content(signed=more))


@pytest.mark.parametrize(
    ("policy", "setting"),
    [
        ("max_measurements = 2", "max_measurements"),
        ("max_measurements_a_day = 2", "max_measurements_a_day"),
        ("max_untrained_measurements = 2", "max_untrained_measurements"),
    ],
)
@pytest.mark.usefixtures("no_data")
def test_measurements_are_counted_over_restarts(homes: Homes, policy: str, setting: str) -> None:
    log = RequestLog(homes.site("alice").audit)
    for number in range(2):
        log.begin(
            Asked(f"{number:032x}", "r1", "2999-01-01T00:00:00+00:00"),
            "measure",
            "ecgnet-0001-00000000",
            number,
        )
    server = under(homes, policy)
    assert f"policy.{setting} " in refused(
        server, server.content("evaluate"), PolicyRefused, "evaluate"
    )


@pytest.mark.usefixtures("no_data")
def test_outside_the_hours_nothing_is_measured(homes: Homes) -> None:
    server = under(homes, HOURS_ELSEWHERE)
    assert "policy.hours" in refused(server, server.content("evaluate"), PolicyRefused, "evaluate")


def test_model_of_a_begun_round_is_measured_outside_the_hours_once(homes: Homes) -> None:
    log = RequestLog(homes.site("alice").audit)
    log.begin(
        Asked(f"{0:032x}", "r1", "2999-01-01T00:00:00+00:00"), "train", "ecgnet-0001-00000000", 1
    )
    server = under(homes, HOURS_ELSEWHERE)
    assert server.send(server.content("evaluate"), "evaluate").figures
    with pytest.raises(PolicyRefused, match="hours"):
        server.send(server.content("evaluate"), "evaluate")


@pytest.mark.parametrize(
    "few", ["min_held_out_patients = 2", "min_held_out_beats = 99999", "min_held_out_pvcs = 99999"]
)
def test_figures_of_too_few_held_out_patients_do_not_leave(homes: Homes, few: str) -> None:
    """The model comes all the same, and is tested here."""
    server = under(homes, few)
    final = server.sign(server.manifest(sound_vector(), round=3))
    reply = server.send(server.content("evaluate", signed=final), "evaluate")
    assert dict(reply.figures) == {"num-examples": 0}
    (entry,) = server.homes.registry("alice").entries()
    assert entry.acceptance is not None


def test_bounds_that_are_left_out_follow_those_that_are_given(homes: Homes) -> None:
    policy = settings(
        homes,
        "max_rounds = 500\nmax_rounds_a_day = 1\nmax_batch_size = 8\nmax_learning_rate = 1e-6",
    ).policy
    assert (policy.max_measurements, policy.max_measurements_a_day) == (510, 11)
    assert (policy.min_batch_size, policy.min_learning_rate) == (8, 1e-6)


JOIN = ("join", "--server", "localhost:1", "--once", "--max-wait", "1s")


def test_key_of_another_coordinator_is_refused_first(homes: Homes) -> None:
    under(homes, 'coordinators = ["AAAA"]')
    alice = homes.site("alice")
    assert homes.federation.signing_public_key in told(alice.root, *JOIN).refused(5)
    last = told(alice.root, "audit", "show").result["entries"][-1]
    assert (last["event"], last["by"]) == ("refused", "policy")


def test_the_right_coordinators_key_is_no_obstacle(homes: Homes) -> None:
    under(homes, f'coordinators = ["AAAA", "{homes.federation.signing_public_key}"]')
    told(homes.site("alice").root, *JOIN).refused(4)


def test_outside_the_hours_a_site_does_not_even_connect(homes: Homes) -> None:
    under(homes, HOURS_ELSEWHERE)
    assert "policy.hours" in told(homes.site("alice").root, *JOIN).refused(5)
    assert (
        told(homes.site("alice").root, "audit", "show").result["entries"][-1]["event"] == "refused"
    )


def test_a_site_that_stays_waits_for_its_hours(homes: Homes) -> None:
    under(homes, HOURS_ELSEWHERE)
    ended = told(homes.site("alice").root, "join", "--server", "localhost:1", "--max-time", "1s")
    assert (ended.code, ended.result["participated"]) == (0, False)
    assert any("waiting for the hours" in line for line in ended.said)


def test_run_continues_with_a_site_that_withholds_its_figures(homes: Homes) -> None:
    """Flower itself would end the run over replies with different figures."""
    rounds = Rounds(homes)
    rounds.begin()
    trained = TrainReply(examples=100, pvcs=5, loss=0.5)
    release = Release("train", figures_of(trained), np.ones(LENGTH, np.float32), withheld=METRICS)
    quiet = content_of_release(prepared(release, [WithholdFigures()], None))
    rounds.aggregate(
        rounds.good(1, 1.0), rounds.answer(2, quiet), rounds.good(3, 4.0, examples=200)
    )
    result = rounds.record.rounds[-1]
    assert (result.sites, result.dropped, result.examples, result.loss) == (
        ["alice", "bob", "carol"],
        [],
        400,
        0.5,
    )


def test_niceness_only_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    nice = [5]

    def fake(more: int) -> int:
        nice[0] += more
        return nice[0]

    monkeypatch.setattr("os.nice", fake, raising=False)
    assert give_way(10)
    assert nice == [10]
    assert give_way(3)
    assert nice == [10]


def test_a_system_without_niceness_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.nice", raising=False)
    assert give_way(0)
    assert not give_way(5)
