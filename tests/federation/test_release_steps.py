"""Releases pass steps with a site side and, in the opposite order, a coordinator side."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from fake_rounds import LENGTH, Rounds
from federation_homes import Homes
from simulations import QUICK
from test_site_distrusts_server import Server, server, sound_vector  # noqa: F401

from ecgfl_cli.app import run
from ecgfl_cli.errors import PolicyRefused, UsageError
from ecgfl_cli.federation.messages import TrainRequest
from ecgfl_cli.federation.release_steps import chain
from ecgfl_cli.federation.release_steps.step import (
    ReleaseStep,
    RoundUpdates,
    RunSettings,
    SiteUpdate,
)
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import Policy


class Halve(ReleaseStep):
    """Halves the change of the weights at the site, and doubles it at the coordinator."""

    name = "halve"
    has_two_sides = True

    @classmethod
    def for_site(cls, policy: Policy) -> Self:  # noqa: ARG003
        return cls()

    @classmethod
    def for_run(cls, settings: RunSettings) -> Self:  # noqa: ARG003
        return cls()

    def shape(self, release: Release) -> Release:
        if release.weights is None or release.start is None:
            return release
        return replace(release, weights=release.start + (release.weights - release.start) / 2)

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        doubled = [
            replace(update, weights=updates.start + 2 * (update.weights - updates.start))
            for update in updates.updates
        ]
        return replace(updates, updates=doubled)


class Average(Halve):
    """Hides the single updates: the coordinator's other steps receive their mean only."""

    name = "average"
    hides_single_updates = True

    def restore(self, updates: RoundUpdates) -> RoundUpdates:
        restored = super().restore(updates).updates
        beats = [update.examples for update in restored]
        mean = np.average([update.weights for update in restored], axis=0, weights=beats)
        combined = SiteUpdate(
            tuple(updates.sites), mean.astype(np.float32), sum(beats), float(sum(beats))
        )
        return replace(updates, updates=[combined])


@pytest.fixture
def with_step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[ReleaseStep]:
    """Registers the step that a test names."""
    monkeypatch.setattr(chain, "RELEASE_STEPS", (*chain.RELEASE_STEPS, request.param))
    step: type[ReleaseStep] = request.param
    return step


def loss(home: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> float:
    """Simulate a round; return the loss of its model on the held-out patients."""
    arguments = ("simulate", "--sites", "2", *QUICK, "--out", str(out))
    assert run(["--home", str(home), "--json", *arguments]) == 0
    capsys.readouterr()
    (result,) = json.loads((out / "fedavg.json").read_text())["rounds"]
    assert len(result["sites"]) == 2
    return float(result["metrics"]["loss"])


@pytest.mark.usefixtures("in_process")
def test_both_sides_of_a_step_cancel_out(
    segmented: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = loss(segmented / "home", tmp_path / "plain", capsys)
    monkeypatch.setattr(chain, "RELEASE_STEPS", (*chain.RELEASE_STEPS, Halve))
    assert loss(segmented / "home", tmp_path / "halved", capsys) == pytest.approx(plain, rel=1e-3)
    monkeypatch.setattr(Halve, "restore", ReleaseStep.restore)
    one_sided = loss(segmented / "home", tmp_path / "one-sided", capsys)
    assert one_sided != pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("with_step", [Halve], indirect=True)
def test_a_site_refuses_a_request_without_its_step(
    with_step: type[ReleaseStep],
    server: Server,  # noqa: F811
) -> None:
    with pytest.raises(PolicyRefused, match=with_step.name):
        server.send(server.content())


@pytest.mark.parametrize("steps", [["mask"], ["halve", "mask"]])
def test_a_site_refuses_a_step_that_it_does_not_apply(
    server: Server,  # noqa: F811
    steps: list[str],
) -> None:
    vector = sound_vector()
    request = TrainRequest(
        model=server.sign(server.manifest(vector)),
        epochs=1,
        learning_rate=1e-3,
        batch_size=256,
        seed=1,
        steps=steps,
    )
    with pytest.raises(PolicyRefused, match="mask"):
        server.send(server.seal(request, vector))


@pytest.mark.parametrize("with_step", [Average], indirect=True)
@pytest.mark.parametrize("strategy", ["median", "krum"])
def test_a_strategy_that_needs_single_updates_is_refused(
    homes: Homes,
    with_step: type[ReleaseStep],
    strategy: str,
) -> None:
    with pytest.raises(UsageError, match=f"{strategy} .* {with_step.name} hides"):
        Rounds(homes, strategy, min_sites=5)


@pytest.mark.usefixtures("with_step")
@pytest.mark.parametrize("with_step", [Average], indirect=True)
def test_sites_of_a_combined_update_are_all_named(homes: Homes) -> None:
    rounds = Rounds(homes, max_update_ratio=10.0)
    before = rounds.weights
    rounds.begin()
    rounds.aggregate(
        *(rounds.good(node, before + np.float32(change)) for node, change in ((1, 0.1), (2, 0.2)))
    )
    assert rounds.last.sites == ["alice", "bob"]
    assert rounds.last.examples == 200
    assert rounds.checkpoints.latest.manifest.sites == 2
    assert [site.update_norm for site in rounds.last.by_site.values()] == [None, None]
    mean_change = rounds.weights - before
    assert mean_change == pytest.approx(np.full(LENGTH, 0.3), abs=1e-5)
