"""[policy.dp] of site.toml: differential privacy in the training of this site."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from ecgfl_cli.schemas import StrictModel

LARGEST_EPSILON = 20.0
"""A larger epsilon is not a meaningful promise: a probability may change by a factor
of exp(20) = 5e8."""

LARGEST_DELTA = 0.01
LEAST_DELTA = 1e-12
"""The accounting by privacy loss distributions has no result for much smaller ones."""

LARGEST_NOISE_MULTIPLIER = 1000.0
LEAST_NOISE_MULTIPLIER = 0.1
"""A step in which half of the units take part then costs epsilon 94 at delta 1e-5."""

LEAST_SAMPLING = 1e-6
LEAST_NORM, LARGEST_NORM = 1e-6, 1000.0
MOST_STEPS = 1000

Unit = Literal["patient", "row"]
Trained = Literal["last-layer", "head", "all"]
"""Parts of a network, from the smallest to the largest."""

NoiseMultiplier = Annotated[float, Field(ge=LEAST_NOISE_MULTIPLIER, le=LARGEST_NOISE_MULTIPLIER)]
Sampling = Annotated[float, Field(ge=LEAST_SAMPLING, le=1)]
Steps = Annotated[int, Field(ge=1, le=MOST_STEPS)]
GradientNorm = Annotated[float, Field(ge=LEAST_NORM, le=LARGEST_NORM)]


class PrivacyDemand(StrictModel):
    """Least protection that a coordinator asks for. None leaves a setting to the site.

    Attributes
    ----------
    noise_multiplier : float or None
        Least noise, as a multiple of `max_grad_norm`.
    sampling : float or None
        Largest probability with which a patient or row is part of a step.
    steps : int or None
        Largest number of steps in a round.
    max_grad_norm : float or None
        Largest norm of the gradient of a patient or row.
    trained : {"last-layer", "head", "all"} or None
        Largest part of the network that is trained.
    """

    noise_multiplier: NoiseMultiplier | None = None
    sampling: Sampling | None = None
    steps: Steps | None = None
    max_grad_norm: GradientNorm | None = None
    trained: Trained | None = None

    def in_words(self) -> str:
        """Return the settings that are asked for, for instance "steps = 2, sampling = 0.1"."""
        asked = self.model_dump(exclude_none=True)
        return ", ".join(f"{name} = {json.dumps(value)}" for name, value in asked.items())


class PrivacyPolicy(StrictModel):
    """Mechanism and budget. A coordinator can only ask for more protection (`stricter`).

    Attributes
    ----------
    unit : {"patient", "row"}
        What is protected: everything about one patient, or one training row. A heartbeat gives
        several rows (leads, augmented copies), so the row is the weaker unit.
    epsilon : float
        Budget of a cohort of patients for all time.
    delta : float
        Probability with which the promise of epsilon may fail, for all time. It must be less than
        one over the number of patients.
    noise_multiplier : float
        Standard deviation of the noise, as a multiple of `max_grad_norm`.
    sampling : float
        Probability with which a patient or row is part of a step.
    steps : int
        Largest number of steps in a round.
    max_grad_norm : float
        Largest norm of the gradient of a patient or row; a larger gradient is scaled down.
    trained : {"last-layer", "head", "all"}
        Which part of the network is trained.
    """

    unit: Unit = "patient"
    epsilon: Annotated[float, Field(gt=0, le=LARGEST_EPSILON)] = 8.0
    delta: Annotated[float, Field(ge=LEAST_DELTA, le=LARGEST_DELTA)] = 1e-5
    noise_multiplier: NoiseMultiplier = 4.0
    sampling: Sampling = 0.5
    steps: Steps = 4
    max_grad_norm: GradientNorm = 1.0
    trained: Trained = "last-layer"

    def stricter(self, demand: PrivacyDemand | None) -> "PrivacyPolicy":
        """Return the stricter of this policy and a coordinator's demand, setting by setting."""
        if demand is None:
            return self
        asked = demand.model_dump(exclude_none=True)
        return self.model_copy(
            update={
                name: _STRICTER[name]([value, getattr(self, name)]) for name, value in asked.items()
            }
        )

    def weaker_than_default(self) -> list[str]:
        """Return each setting that protects less than the default, for messages."""
        weaker = []
        for name in type(self).model_fields:
            value, usual = getattr(self, name), type(self).model_fields[name].default
            if name == "unit":
                is_weaker = value != usual
            elif name in _STRICTER:
                is_weaker = value != usual and _STRICTER[name]([value, usual]) == usual
            else:
                is_weaker = value > usual
            if is_weaker:
                weaker.append(f"{name} = {json.dumps(value)} (default {json.dumps(usual)})")
        return weaker


def _smallest_part(parts: list[Trained]) -> Trained:
    return min(parts, key=get_args(Trained).index)


_STRICTER: dict[str, Callable[[list[Any]], Any]] = {
    "noise_multiplier": max,
    "sampling": min,
    "steps": min,
    "max_grad_norm": min,
    "trained": _smallest_part,
}
"""Setting -> function that returns the most protective of several values."""
