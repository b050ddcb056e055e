"""Three sites train two rounds over TLS: all have the same signed models, and use the last."""

import pytest
from federation_homes import SITES
from node_processes import told
from shared_runs import Finished

from ecgfl_cli.logs import Event
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import WEIGHTS
from ecgfl_cli.models.starter import starter_registry

EVERYBODY = ("coordinator", *SITES)


def manifests(finished: Finished, name: str) -> list[Manifest]:
    return [entry.manifest for entry in finished.homes.registry(name).entries()]


def test_every_process_ends_in_order(finished: Finished) -> None:
    assert finished.served.code == 0, finished.served.said
    for name, joined in finished.joined.items():
        assert joined.code == 0, (name, joined.said)


def test_serve_says_what_came_of_each_round(finished: Finished) -> None:
    result, models = finished.served.result, manifests(finished, "coordinator")
    assert (result["schema"], result["status"]) == ("ecgfl.coordinator-serve/1", "ok")
    assert (result["run"], result["model"], result["sha256"]) == (
        models[-1].run,
        models[-1].version,
        models[-1].weights_sha256,
    )
    assert [each["round"] for each in result["rounds"]] == [1, 2]
    for each, model in zip(result["rounds"], models[1:], strict=True):
        assert each["version"] == model.version
        assert sorted(each["sites"]) == sorted(SITES)
        assert each["dropped"] == []
        assert each["examples"] == model.examples > 0
        assert set(each["metrics"]) == {"beats", "pvcs", "loss", "sensitivity", "precision"}
        assert each["metrics"]["beats"] > each["metrics"]["pvcs"] > 0


def test_a_round_that_is_measured_is_in_the_next_manifest(finished: Finished) -> None:
    second = manifests(finished, "coordinator")[2]
    assert second.parent_metrics is not None
    assert second.parent_metrics.model_dump() == finished.served.result["rounds"][0]["metrics"]


@pytest.mark.parametrize("name", SITES)
def test_join_says_that_it_took_part(finished: Finished, name: str) -> None:
    result = finished.joined[name].result
    assert (result["schema"], result["status"]) == ("ecgfl.join/1", "ok")
    assert result["participated"] is True
    assert (result["run"], result["rounds"]) == (finished.served.result["run"], 2)
    assert result["version"] == finished.served.result["model"]
    assert result["acceptance"]["accepted"] is True
    assert result["acceptance"]["pvcs"] > 0


@pytest.mark.parametrize("name", SITES)
def test_a_site_has_every_global_model_byte_for_byte(finished: Finished, name: str) -> None:
    ours, theirs = (
        finished.homes.registry("coordinator").entries()[1:],
        finished.homes.registry(name).entries(),
    )
    assert [entry.signed for entry in ours] == [entry.signed for entry in theirs]
    for entry in ours:
        version = entry.manifest.version
        one = finished.homes.coordinator_home.models / version / WEIGHTS
        other = finished.homes.site(name).models / version / WEIGHTS
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", SITES)
def test_the_models_at_a_site_verify(finished: Finished, name: str) -> None:
    ended = told(finished.homes.site(name).root, "model", "verify")
    assert ended.code == 0, ended.said
    assert ended.result["versions"] == [
        *starter_registry().versions(),
        *(each.version for each in manifests(finished, name)),
    ]
    made = manifests(finished, "coordinator")
    assert manifests(finished, name) == made[1:]
    first = starter_registry().current()
    assert ended.result["lineage"] == [*(model.version for model in reversed(made)), first]
    assert ended.result["missing_parent"] is None


def test_each_model_follows_from_the_one_before(finished: Finished) -> None:
    models = manifests(finished, "coordinator")
    assert [model.parent for model in models] == [
        starter_registry().current(),
        *(model.version for model in models[:-1]),
    ]
    entries = finished.homes.registry("coordinator").entries()
    before = [*starter_registry().entries(), *entries[:-1]]
    assert [model.parent_manifest for model in models] == [entry.signed.sha256 for entry in before]
    assert {model.strategy for model in models} == {"fedavg"}
    assert [model.sequence for model in models] == [1, 2, 3]
    assert [model.round for model in models] == [0, 1, 2]
    assert {model.run for model in models} == {finished.served.result["run"]}
    assert [model.is_final for model in models] == [False, False, True]
    assert [model.sites for model in models] == [0, 3, 3]
    for entry in finished.homes.registry("coordinator").entries():
        entry.signed.open(finished.homes.federation.signing_key)
        finished.homes.registry("coordinator").load(entry.manifest.version)


@pytest.mark.parametrize("name", EVERYBODY)
def test_the_final_model_is_the_current_one(finished: Finished, name: str) -> None:
    assert finished.homes.registry(name).current() == finished.served.result["model"]


@pytest.mark.parametrize("name", EVERYBODY)
def test_nothing_half_written_is_left(finished: Finished, name: str) -> None:
    folder = finished.homes.folder / name
    assert [
        path
        for path in folder.rglob("*")
        if path.name.startswith((".new-", ".tmp")) or path.suffix == ".tmp"
    ] == []


def test_programs_learn_from_events_that_both_sides_are_ready(finished: Finished) -> None:
    (ready,) = [entry for entry in finished.served.events if entry["event"] == Event.READY]
    assert (ready["address"], ready["host"], ready["port"]) == (
        f"127.0.0.1:{finished.port}",
        "127.0.0.1",
        finished.port,
    )
    assert ready["run"] == finished.served.result["run"]
    assert ready["source"] == "coordinator"
    for name, joined in finished.joined.items():
        (connected,) = [entry for entry in joined.events if entry["event"] == Event.CONNECTED]
        assert connected["source"] == name
        assert [entry["round"] for entry in joined.events if entry["event"] == Event.TRAINED] == [
            1,
            2,
        ]
        assert len(joined.events) == len(joined.said), "every line on stderr is an event"
