"""The weights from which a new run starts; never those of a rejected or rolled-back model."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fake_rounds import NODES, PLAN, Rounds
from federation_homes import SITES, Homes
from flwr.app import Error
from node_processes import contents, told
from shared_runs import Finished

from ecgfl_cli.federation.coordinator.runs.first_weights import starter_of
from ecgfl_cli.federation.messages import (
    MODEL_UNACCEPTABLE,
    POLICY_FORBIDS,
    VERDICTS,
    Content,
    EvaluateReply,
    figures_of,
    verdict_number,
)
from ecgfl_cli.federation.transport import Reply
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.registry import WEIGHTS
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.models.verdicts import VerdictCode

SERVE = ("coordinator", "serve", "--host", "127.0.0.1", "--port", "0", "--quorum-timeout", "100ms")
STARTER = starter_registry().current() or ""


def first(homes: Homes, *options: str) -> Manifest:
    """Return the first model of a run that no site joins."""
    told(homes.coordinator, *SERVE, *options).refused(4)
    return homes.registry("coordinator").entries()[-1].manifest


def report(homes: Homes, run: str) -> dict[str, Any]:
    return dict(json.loads((homes.coordinator_home.reports / f"{run}.json").read_text()))


def test_starts_from_the_starter_model(homes: Homes) -> None:
    manifest, starter = first(homes), starter_registry().entry(STARTER).manifest
    assert (manifest.parent, manifest.weights_sha256, manifest.round) == (
        STARTER,
        starter.weights_sha256,
        0,
    )
    assert (manifest.threshold, manifest.calibration) == (starter.threshold, starter.calibration)
    assert STARTER in report(homes, manifest.run)["start"]
    assert STARTER in (homes.coordinator_home.reports / f"{manifest.run}.html").read_text()


def test_without_a_starter_model_it_says_so(homes: Homes) -> None:
    manifest = first(homes, "--arch", "ecgnet")
    assert manifest.parent is None
    assert "no starter model for ecgnet" in report(homes, manifest.run)["start"]


def test_from_scratch_goes_on_after_a_kill(homes: Homes) -> None:
    scratch = first(homes, "--from-scratch")
    assert scratch.parent is None
    assert scratch.weights_sha256 != starter_registry().entry(STARTER).manifest.weights_sha256
    assert first(homes, "--from-scratch") == scratch
    assert first(homes) == scratch, "the run goes on, whatever it started from"
    chosen = first(homes, "--init-from", STARTER)
    assert (chosen.parent, chosen.run != scratch.run) == (STARTER, True)
    assert first(homes, "--init-from", STARTER) == chosen
    assert first(homes, "--from-scratch").run != chosen.run


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--init-from", STARTER, "--from-scratch"), 2, "cannot be used together"),
        (("--init-from", "beatnet-0099-00000000"), 2, "coordinator model list"),
        (("--init-from", STARTER, "--arch", "ecgnet"), 2, "--arch beatnet"),
        (("--init-from", "../../x"), 2, "no such model"),
    ],
)
def test_unusable_first_weights_are_refused(
    homes: Homes, options: tuple[str, ...], code: int, said: str
) -> None:
    before = contents(homes.coordinator)
    assert said in told(homes.coordinator, *SERVE, *options).refused(code)
    assert contents(homes.coordinator) == before


@pytest.fixture
def after(finished: Finished, copied: Callable[[str], Homes]) -> Homes:
    """A coordinator with enrolled sites after its first run; no site process is started."""
    homes = copied("after")
    shutil.rmtree(homes.coordinator)
    shutil.copytree(finished.homes.coordinator, homes.coordinator)
    return homes


def test_the_next_run_starts_from_the_last_final_model(after: Homes, finished: Finished) -> None:
    assert first(after).parent == finished.served.result["model"]


def test_damaged_weights_are_refused_with_a_way_out(after: Homes, finished: Finished) -> None:
    version = finished.served.result["model"]
    (after.coordinator_home.models / version / WEIGHTS).write_bytes(b"")
    line = told(after.coordinator, *SERVE).refused(7)
    assert version in line
    assert "--from-scratch" in line
    assert first(after, "--from-scratch").parent is None


def test_a_damaged_manifest_is_not_passed_over(after: Homes, finished: Finished) -> None:
    folder = after.coordinator_home.models / finished.served.result["model"]
    (folder / "manifest.json").write_text("{}")
    assert str(folder) in told(after.coordinator, *SERVE).refused(7)
    folder.rename(after.folder / "moved")
    (after.coordinator_home.models / "current").unlink()
    assert first(after, "--rounds", "3").run != finished.served.result["run"]


def test_the_sites_verdicts_are_reported(finished: Finished) -> None:
    served, version = finished.served.result, finished.served.result["model"]
    assert set(served["verdicts"]) == set(SITES)
    assert set(served["verdicts"].values()) <= {"not-worse", "untested"}
    assert (served["rejected_by_most"], served["next_start"], served["absent"]) == (
        False,
        version,
        [],
    )
    status = told(finished.homes.coordinator, "coordinator", "status").result
    assert (status["model"]["version"], status["model"]["verdicts"]) == (
        version,
        served["verdicts"],
    )
    shown = told(finished.homes.coordinator, "coordinator", "model", "show").result
    assert (shown["model"]["version"], shown["verdicts"]) == (version, served["verdicts"])
    assert report(finished.homes, served["run"])["rounds"][-1]["verdicts"] == served["verdicts"]


def test_runs_are_in_the_audit_log(finished: Finished) -> None:
    entries = told(finished.homes.coordinator, "coordinator", "audit", "show").result["entries"]
    assert [entry["event"] for entry in entries] == [
        "coordinator-made",
        *["enrolled"] * 3,
        "run-started",
        "run-ended",
    ]
    assert entries[-1]["outcome"] == "finished"
    assert entries[-1]["model"] == finished.served.result["model"]
    assert told(finished.homes.coordinator, "coordinator", "audit", "verify").code == 0


def test_a_changed_audit_log_is_found(after: Homes) -> None:
    log = after.coordinator_home.audit
    log.write_text(log.read_text().replace('"site":"bob"', '"site":"eve"'))
    assert "line 5" in told(after.coordinator, "coordinator", "audit", "verify").refused(3)
    assert "line 5" in told(after.coordinator, *SERVE).refused(3)


class LastRound(Rounds):
    """A run of one round, up to the sites' test of its model."""

    def tested(self, **verdicts: VerdictCode | int | None) -> Manifest:
        """Reply for each site with a verdict, a refusal's code, or neither (None).

        Returns the final manifest.
        """
        self.begin()
        size = 0.01 * self.checkpoints.latest.manifest.sequence  # each run's weights are others
        self.aggregate(*(self.good(node, size * node) for node in self.requests))
        self.begin_measuring()
        names = {name: node for node, name in NODES.items()}
        self.aggregate_measured(
            *(self._said(names[name], verdict) for name, verdict in verdicts.items())
        )
        return self.checkpoints.latest.manifest

    def _said(self, node: int, verdict: VerdictCode | int | None) -> Reply:
        if isinstance(verdict, int):
            return self.answer(node, Error(verdict, "refused"))
        number = None if verdict is None else verdict_number(verdict)
        figures = figures_of(EvaluateReply(examples=10, verdict=number))
        return self.answer(node, Content(figures=figures))


@pytest.mark.parametrize(
    ("verdicts", "is_rejected"),
    [
        ({"alice": "below-margin", "bob": "interval-below-zero", "carol": "not-worse"}, True),
        ({"alice": "below-margin", "bob": MODEL_UNACCEPTABLE}, True),
        ({"alice": "below-margin", "bob": "untested"}, False),
        ({"alice": "below-margin", "bob": "not-worse", "carol": "not-worse"}, False),
        ({"alice": POLICY_FORBIDS, "bob": None}, False),
    ],
)
def test_no_run_continues_from_what_most_sites_reject(
    homes: Homes, verdicts: dict[str, VerdictCode | int | None], is_rejected: bool
) -> None:
    before = LastRound(homes, rounds=1).tested(alice="not-worse", bob="untested")
    rounds = LastRound(homes, rounds=1)
    final = rounds.tested(**verdicts)
    following = LastRound(homes, rounds=1).checkpoints
    assert following.latest.manifest.parent == (before if is_rejected else final).version
    assert rounds.registry.current() == (before if is_rejected else final).version
    handed_out = following.last_final()
    assert handed_out is not None
    assert handed_out[0] == (before if is_rejected else final).version
    assert (
        [line for line in rounds.said if "most sites rejected" in line] != []
        if is_rejected
        else True
    )
    assert list(following.passed_over) == ([final.version] if is_rejected else [])


def test_after_a_rejected_first_run_the_starter_model_is_next(homes: Homes) -> None:
    rounds = LastRound(homes, rounds=1)
    assert rounds.tested(
        alice="below-margin", bob="below-margin", carol="not-worse"
    ).version not in (None, STARTER)
    assert rounds.checkpoints.next_start() is None, "there is no starter model for ecgnet"
    assert "the next starts from random weights" in "\n".join(rounds.said)
    assert starter_of("beatnet") is not None


def test_a_verdict_that_is_none_is_dropped(homes: Homes) -> None:
    rounds = LastRound(homes, rounds=1)
    rounds.tested()
    figures = figures_of(EvaluateReply(examples=10, verdict=1))
    figures["verdict"] = len(VERDICTS) + 1
    rounds.aggregate_measured(rounds.answer(1, Content(figures=figures)))
    assert rounds.last.verdicts == {}
    assert [line for line in rounds.dropped if "verdict" in line]


def test_what_a_revoked_site_said_no_longer_counts(homes: Homes) -> None:
    final = LastRound(homes, rounds=1).tested(alice="below-margin")
    assert LastRound(homes, rounds=1).checkpoints.latest.manifest.parent is None
    shutil.rmtree(
        homes.coordinator_home.models / homes.registry("coordinator").entries()[-1].manifest.version
    )
    assert told(homes.coordinator, "coordinator", "revoke", "alice").code == 0
    assert LastRound(homes, rounds=1).checkpoints.latest.manifest.parent == final.version


def test_absent_sites_are_named(homes: Homes) -> None:
    rounds = Rounds(homes, nodes={1: "alice", 2: "bob"}, rounds=1)
    rounds.sites.expected = lambda: set(SITES)  # type: ignore[method-assign]
    rounds.begin()
    assert "training at alice, bob; absent: carol" in rounds.said[-1]
    rounds.aggregate(rounds.good(1, 0.1), rounds.good(2, 0.2))
    assert rounds.last.absent == ["carol"]


def weights(homes: Homes, version: str) -> Any:
    return pack(homes.registry("coordinator").load(version)[1])


def test_rollback_publishes_older_weights_with_the_next_number(homes: Homes) -> None:
    good, bad = (LastRound(homes, rounds=1).tested(alice="not-worse") for _ in range(2))
    begun = LastRound(homes, rounds=3)
    done = told(homes.coordinator, "coordinator", "model", "rollback")
    assert done.code == 0, done.said
    assert (done.result["weights_of"], done.result["withdrawn"]) == (good.version, [bad.version])
    published = homes.registry("coordinator").entries()[-1].manifest
    assert published.version == done.result["version"] == homes.registry("coordinator").current()
    assert published.sequence == begun.checkpoints.latest.manifest.sequence + 1
    assert (published.parent, published.is_final) == (good.version, True)
    assert np.array_equal(weights(homes, published.version), weights(homes, good.version))
    following = LastRound(homes, rounds=3).checkpoints
    assert not following.resumed, "the run that went on from the bad model is not gone on with"
    assert following.latest.manifest.parent == published.version
    handed_out = following.last_final()
    assert handed_out is not None
    assert handed_out[0] == published.version
    for version in (bad.version, begun.checkpoints.latest.manifest.version):
        arguments = (*SERVE, "--arch", PLAN.architecture, "--init-from", version)
        assert "rolled back" in told(homes.coordinator, *arguments).refused(2)
        export = ("model", "export", str(homes.folder / "x"), "--model", version)
        assert "rolled back" in told(homes.coordinator, *export).refused(2)
    states = {
        each["version"]: each["state"]
        for each in told(homes.coordinator, "coordinator", "model", "list").result["models"]
    }
    assert states[bad.version].startswith("rolled back")
    entries = told(
        homes.coordinator, "coordinator", "audit", "show", "--event", "rolled-back"
    ).result["entries"]
    assert [(entry["version"], entry["withdrawn"]) for entry in entries] == [
        (published.version, [bad.version])
    ]


def test_a_second_rollback_goes_further_back(homes: Homes) -> None:
    versions = [LastRound(homes, rounds=1).tested(alice="not-worse").version for _ in range(3)]
    rollback = ("coordinator", "model", "rollback")
    assert told(homes.coordinator, *rollback).result["weights_of"] == versions[1]
    assert told(homes.coordinator, *rollback).result["weights_of"] == versions[0]
    assert "--from-scratch" in told(homes.coordinator, *rollback).refused(2)
    assert "rolled back" in told(homes.coordinator, *rollback, versions[1]).refused(2)
    assert "coordinator model list" in told(
        homes.coordinator, *rollback, "ecgnet-0999-00000000"
    ).refused(2)


def test_without_an_earlier_model_rollback_takes_the_starter_model(
    after: Homes, finished: Finished
) -> None:
    done = told(after.coordinator, "coordinator", "model", "rollback").result
    assert (done["weights_of"], done["withdrawn"]) == (STARTER, [finished.served.result["model"]])
    assert first(after).parent == done["version"]
