"""A coordinator with expired models goes on, and can publish them again."""

from datetime import UTC, datetime

import numpy as np
import pytest
from fake_rounds import LENGTH, PLAN
from federation_homes import Homes
from node_processes import told

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.federation.coordinator.home import load_signing_key
from ecgfl_cli.federation.coordinator.runs import checkpoints
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints

LONG_AGO = ("2020-01-01T00:00:00+00:00", "2020-12-31T00:00:00+00:00")
NEVER_SAID = ("2020-01-01T00:00:00+00:00", None)
OLD = pytest.mark.parametrize("times", [LONG_AGO, NEVER_SAID], ids=["expired", "no-expiry"])


def made(
    homes: Homes, rounds: int, times: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> Checkpoints:
    """So many rounds of a run that took place then."""
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "validity", lambda _: times)
        run = now(homes)
        for number in range(rounds):
            run.add(np.full(LENGTH, number, np.float32), 2, 10, None)
    return run


def now(homes: Homes) -> Checkpoints:
    return Checkpoints(homes.coordinator_home, load_signing_key(homes.coordinator_home), PLAN)


@OLD
def test_a_killed_run_of_an_expired_model_is_not_resumed(
    homes: Homes, monkeypatch: pytest.MonkeyPatch, times: tuple[str, str | None]
) -> None:
    before = made(homes, 1, times, monkeypatch)
    again = now(homes)
    assert not again.resumed
    assert again.abandoned == before.latest.manifest
    assert again.latest.manifest.run != before.latest.manifest.run
    assert again.latest.manifest.weights_sha256 == before.latest.manifest.weights_sha256, (
        "it starts from the same weights"
    )
    assert now(homes).resumed


@OLD
def test_an_expired_model_is_sent_again_once_it_is_published_again(
    homes: Homes, monkeypatch: pytest.MonkeyPatch, times: tuple[str, str | None]
) -> None:
    old = made(homes, PLAN.rounds, times, monkeypatch).latest.manifest
    with pytest.raises(ModelRejected, match=f"coordinator model rollback {old.version}"):
        now(homes).last_final()
    ended = told(homes.coordinator, "coordinator", "model", "rollback", old.version)
    assert ended.code == 0, ended.said
    sent = now(homes).last_final()
    assert sent is not None
    assert sent[0] == ended.result["version"]
    published = homes.registry("coordinator").entry(sent[0]).manifest
    assert published.weights_sha256 == old.weights_sha256
    assert published.is_news(datetime.now(UTC))
    assert "is the newest one already" in told(
        homes.coordinator, "coordinator", "model", "rollback", sent[0]
    ).refused(2)
