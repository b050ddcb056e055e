"""How a site trains with differential privacy in a round."""

from dataclasses import dataclass

from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.privacy_policy import Trained, Unit
from ecgfl_cli.training.local import TrainingPlan


@dataclass(frozen=True)
class PrivatePlan:
    """How a site trains with differential privacy in a round.

    Attributes
    ----------
    unit : {"patient", "row"}
        What is protected.
    noise_multiplier : float
        Standard deviation of the noise, as a multiple of `max_grad_norm`.
    sampling : float
        Probability with which a unit is part of a step.
    steps : int
        Number of steps.
    max_grad_norm : float
        Largest norm of the gradient of a unit.
    trained : {"last-layer", "head", "all"}
        Which part of the network is trained.
    nominal_units : int
        The noisy sum is divided by this number times `sampling`. It must not depend on the data.
    learning_rate : float
        Of Adam.
    threads : int
        Number of processor threads.
    """

    unit: Unit
    noise_multiplier: float
    sampling: float
    steps: int
    max_grad_norm: float
    trained: Trained
    nominal_units: int
    learning_rate: float
    threads: int = 1


def private_plan(policy: Policy, requested: TrainingPlan) -> PrivatePlan:
    """Return the plan of a round: the policy's mechanism with the learning rate of the request.

    Gradients are divided by the least amount of data that the policy requires, which does not
    depend on the data that there is.
    """
    privacy = policy.dp
    assert privacy is not None
    is_patient = privacy.unit == "patient"
    return PrivatePlan(
        unit=privacy.unit,
        noise_multiplier=privacy.noise_multiplier,
        sampling=privacy.sampling,
        steps=privacy.steps,
        max_grad_norm=privacy.max_grad_norm,
        trained=privacy.trained,
        nominal_units=policy.min_training_patients if is_patient else policy.min_training_beats,
        learning_rate=requested.learning_rate,
        threads=requested.threads,
    )
