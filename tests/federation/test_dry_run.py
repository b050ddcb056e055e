"""`join --dry-run` shows the bytes that join would send, and writes only to the audit log."""

import hashlib
import json

import numpy as np
import pytest
from federation_homes import Homes, set_policy
from node_processes import contents, told
from shared_runs import Finished

from ecgfl_cli.federation.messages import AUDIT
from ecgfl_cli.federation.site.dry_run import WEIGHTS
from ecgfl_cli.federation.site.local_work import LocalWork
from ecgfl_cli.models.architecture import DEFAULT, architecture
from ecgfl_cli.models.manifest import weights_sha256
from ecgfl_cli.models.packing import pack
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.settings import load_settings

HEAD = [f"{AUDIT}/lines", f"{AUDIT}/hash"]
"""Fields of every reply, whatever the policy withholds."""


def test_nothing_in_the_home_changes_but_the_audit_log(homes: Homes) -> None:
    home = homes.site("alice")
    before, lines = contents(home.root), home.audit.read_bytes().splitlines()
    ended = told(home.root, "join", "--dry-run")
    assert ended.code == 0, ended.said
    assert contents(home.root) == before
    *earlier, last = home.audit.read_bytes().splitlines()
    assert earlier == lines
    entry = json.loads(last)
    assert entry["event"] == "dry-run"
    assert entry["messages"] == [
        {key: each[key] for key in ("kind", "bytes", "sha256")} for each in ended.result["messages"]
    ]
    assert told(home.root, "audit", "verify").code == 0


def test_the_fields_are_those_that_leave_in_a_run_and_no_others(
    homes: Homes, finished: Finished
) -> None:
    shown = told(homes.site("alice").root, "join", "--dry-run").result["messages"]
    lines = map(json.loads, finished.homes.site("alice").audit.read_text().splitlines())
    sent = {line["kind"]: line for line in lines if line["event"] == "send"}
    assert [each["kind"] for each in shown] == ["train", "evaluate"]
    for message in shown:
        real = sent[message["kind"]]
        names = {field["name"] for field in message["fields"]} - {WEIGHTS, *HEAD}
        sometimes = {
            "sensitivity",
            "precision",
            "verdict",
        }  # undefined, or of a run's last model only
        assert names - sometimes == set(real["metrics"]["metrics"]) - sometimes
        assert abs(message["bytes"] - real["bytes"]) < 400, "ids and absent figures"


def test_each_field_has_its_type_bytes_and_hash(homes: Homes) -> None:
    train, evaluate = told(homes.site("alice").root, "join", "--dry-run").result["messages"]
    fields = {field["name"]: field for field in train["fields"]}
    weights, length = fields[WEIGHTS], pack(architecture(DEFAULT).build()).size
    assert (weights["kind"], weights["bytes"], weights["value"]) == (
        f"float32[{length}]",
        4 * length,
        None,
    )
    assert train["bytes"] > 4 * length
    examples = fields["num-examples"]
    assert examples["sha256"] == hashlib.sha256(np.int64(examples["value"]).tobytes()).hexdigest()
    loss = fields["loss"]
    assert loss["sha256"] == hashlib.sha256(np.float64(loss["value"]).tobytes()).hexdigest()
    counts = {field["name"]: field for field in evaluate["fields"]}["pvcs_by_logit"]
    assert counts["kind"] == f"int64[{len(counts['value'])}]"
    assert counts["bytes"] == 8 * len(counts["value"])


def test_it_is_worked_out_by_the_code_that_join_sends_with(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights shown are those that `LocalWork`, which answers the coordinator, came to."""
    made = []
    train = LocalWork.train

    def watched(*arguments: object) -> object:
        made.append(train(*arguments))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(LocalWork, "train", watched)
    shown = told(homes.site("alice").root, "join", "--dry-run").result
    assert shown["version"] == starter_registry().current(), "the current model"
    (trained,) = made
    fields = {field["name"]: field for field in shown["messages"][0]["fields"]}
    assert fields[WEIGHTS]["sha256"] == weights_sha256(trained.release.weights)
    assert fields["loss"]["value"] == trained.release.figures["loss"]


def test_the_same_data_and_model_show_the_same_again(homes: Homes) -> None:
    first, second = (
        told(homes.site("alice").root, "join", "--dry-run").result["messages"] for _ in range(2)
    )
    for each in (first, second):
        for message in each:
            assert [field["name"] for field in message["fields"] if field["name"] in HEAD] == HEAD
            message["fields"] = [
                field for field in message["fields"] if field["name"] not in HEAD
            ]  # the dry run adds a line
            del message["sha256"], message["bytes"]
    assert first == second


def test_what_the_policy_withholds_is_not_in_it(homes: Homes) -> None:
    home = homes.site("alice")
    set_policy(home, 'architectures = ["ecgnet"]\nmetrics = ["loss"]')
    assert told(home.root, "segment", "--arch", "ecgnet").code == 0
    result = told(home.root, "join", "--dry-run").result
    assert (result["version"], result["architecture"]) == (None, "ecgnet"), (
        "a fresh network of what the policy allows"
    )
    names = [{field["name"] for field in message["fields"]} for message in result["messages"]]
    assert names == [
        {"num-examples", "loss", WEIGHTS, *HEAD},
        {"num-examples", "loss", *HEAD},
    ]


@pytest.mark.parametrize(
    "policy", ["min_training_beats = 100000", "min_training_patients = 100", "architectures = []"]
)
def test_what_would_be_refused_is_refused(homes: Homes, policy: str) -> None:
    home = homes.site("alice")
    set_policy(home, policy)
    assert "policy." in told(home.root, "join", "--dry-run").refused(5)


def test_a_person_may_look_at_any_hour(homes: Homes) -> None:
    from test_site_policy import HOURS_ELSEWHERE

    home = homes.site("alice")
    set_policy(home, HOURS_ELSEWHERE)
    assert load_settings(home.settings).policy.hours is not None
    assert told(home.root, "join", "--dry-run").code == 0


def test_beats_that_are_not_cut_yet_are_not_cut_by_it(homes: Homes) -> None:
    home = homes.site("alice")
    for path in home.beats.rglob("*"):
        if path.is_file():
            path.unlink()
    before = contents(home.root)
    assert "ecgfl segment --arch beatnet" in told(home.root, "join", "--dry-run").refused(3)
    assert contents(home.root) == before


def test_without_it_the_server_must_be_named(homes: Homes) -> None:
    assert "--server" in told(homes.site("alice").root, "join", "--once").refused(2)
