"""A coordinator that uses its signing key to extract a site's data instead of training a model."""

from typing import Any

import pytest
from federation_homes import Homes, change_policy
from hostile_coordinator import (
    HostileCoordinator,
    Vector,
    hostile_coordinator,
    joined,
    logged,
    perturbed,
    starter_weights,
)
from node_processes import Processes, told

from ecgfl_cli.federation.messages import (
    MODEL_UNACCEPTABLE,
    POLICY_FORBIDS,
    CatchUpRequest,
    EvaluateRequest,
)
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.packing import pack, unpack
from ecgfl_cli.site.policy import MORE_MEASUREMENTS

pytestmark = pytest.mark.slow


def answered(attacker: HostileCoordinator) -> int:
    return sum(not answer.has_error() for answer in attacker.answers)


def random_weights(seed: int) -> Vector:
    import torch

    torch.manual_seed(seed)
    return pack(architecture("beatnet").build())


def test_evaluations_of_untrained_models_are_limited(homes: Homes, processes: Processes) -> None:
    """One round a day is allowed. The limit also holds after the site has been restarted."""
    change_policy(homes.site("alice"), max_rounds_a_day="1")
    with hostile_coordinator(homes) as attacker:
        for _ in range(2):
            site = joined(attacker, processes)
            for seed in range(180):
                vector = perturbed(seed)
                answer = attacker.ask(EvaluateRequest(model=attacker.signed(vector)), vector)
                if answer.has_error():
                    assert answer.error.code == POLICY_FORBIDS
                    break
            assert "policy.max_untrained_measurements" in site.finish().refused(5)
        assert answered(attacker) == MORE_MEASUREMENTS
    assert [entry["code"] for entry in logged(homes, "refused")] == [POLICY_FORBIDS] * 2
    assert (
        len([entry for entry in logged(homes, "request") if entry["work"] == "measure"])
        == MORE_MEASUREMENTS
    )
    assert told(homes.site("alice").root, "audit", "verify").code == 0


def test_evaluations_of_other_runs_count_too(homes: Homes, processes: Processes) -> None:
    change_policy(homes.site("alice"), max_untrained_measurements="3")
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        for seed in range(4):
            vector = perturbed(seed)
            model = attacker.signed(vector, round=3, run=f"r{seed}")
            answer = attacker.ask(CatchUpRequest(model=model), vector)
        assert answer.has_error()
        assert answered(attacker) == 3
        site.end()


def test_model_that_finds_no_pvcs_is_not_evaluated(homes: Homes, processes: Processes) -> None:
    """Refused requests count, too, so that a refusal is no oracle either."""
    change_policy(homes.site("alice"), max_untrained_measurements="2")
    with hostile_coordinator(homes) as attacker:
        for seed, (code, status) in enumerate(
            [(MODEL_UNACCEPTABLE, 7), (MODEL_UNACCEPTABLE, 7), (POLICY_FORBIDS, 5)]
        ):
            site = joined(attacker, processes)
            vector = random_weights(seed)
            answer = attacker.ask(EvaluateRequest(model=attacker.signed(vector)), vector)
            assert (answer.error.code, answer.error.reason) == (code, "refused"), (
                "the coordinator receives only a code"
            )
            assert (
                "policy.max_loss_ratio" if status == 7 else "policy.max_untrained_measurements"
            ) in site.finish().refused(status)
    assert homes.registry("alice").entries() == []


def one_beat_each(vector: Vector) -> Vector:
    """Return weights with a dense layer whose units each react to few beats, and a zero output."""
    import torch
    from torch import nn

    network = architecture("beatnet").build()
    unpack(network, vector)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    layers[0].bias.data = -torch.linspace(0.5, 5.0, layers[0].out_features)
    layers[-1].weight.data *= 0
    layers[-1].bias.data *= 0
    return pack(network)


CRAFTED: dict[str, tuple[dict[str, Any], str]] = {
    "batches of one beat": ({"batch_size": 1}, "policy.min_batch_size"),
    "a tiny learning rate": ({"learning_rate": 1e-9}, "policy.min_learning_rate"),
    "one step": ({"epochs": 1, "batch_size": 1024}, "policy.min_steps"),
    "a step of all beats": ({"batch_size": 1_000_000}, "policy.max_batch_size"),
    "a strong proximal term": ({"proximal_mu": 100.0}, "policy.max_proximal_mu"),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_plan_is_refused(homes: Homes, processes: Processes, name: str) -> None:
    changes, setting = CRAFTED[name]
    change_policy(homes.site("alice"), min_steps="8")
    vector = starter_weights()
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        answer = attacker.ask(attacker.training(attacker.signed(vector), **changes), vector)
        assert answer.error.code == POLICY_FORBIDS
        assert setting in site.finish().refused(5)
    (line,) = logged(homes, "refused")
    assert setting in line["reason"]
    assert logged(homes, "send") == []


def test_model_that_copies_beats_is_not_trained(homes: Homes, processes: Processes) -> None:
    vector = one_beat_each(starter_weights())
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        answer = attacker.ask(attacker.training(attacker.signed(vector)), vector)
        assert answer.error.code == MODEL_UNACCEPTABLE
        assert "policy.max_loss_ratio" in site.finish().refused(7)
    assert len(logged(homes, "request")) == 1, "the refused request counts"


def test_trainings_per_day_are_limited(homes: Homes, processes: Processes) -> None:
    change_policy(homes.site("alice"), max_rounds_a_day="2")
    vector = starter_weights()
    with hostile_coordinator(homes) as attacker:
        site = joined(attacker, processes)
        for _ in range(19):
            answer = attacker.ask(attacker.training(attacker.signed(vector), epochs=1), vector)
            if answer.has_error():
                break
        assert answered(attacker) == 2
        assert "policy.max_rounds_a_day" in site.finish().refused(5)
