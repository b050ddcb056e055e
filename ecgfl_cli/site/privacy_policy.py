"""[policy.dp] of site.toml: differential privacy in the training of this site."""

from typing import Annotated, Literal

from pydantic import Field

from ecgfl_cli.schemas import StrictModel

LARGEST_EPSILON = 20.0
"""A larger epsilon is not a meaningful promise: a probability may change by a factor
of exp(20) = 5e8."""

LARGEST_DELTA = 0.01
LARGEST_NOISE_MULTIPLIER = 1000.0
MOST_STEPS = 1000

Unit = Literal["patient", "row"]
Trained = Literal["last-layer", "head", "all"]


class PrivacyPolicy(StrictModel):
    """Mechanism and budget. A coordinator can ask for more noise, and for fewer steps.

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
    delta: Annotated[float, Field(gt=0, le=LARGEST_DELTA)] = 1e-5
    noise_multiplier: Annotated[float, Field(gt=0, le=LARGEST_NOISE_MULTIPLIER)] = 4.0
    sampling: Annotated[float, Field(gt=0, le=1)] = 0.5
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] = 4
    max_grad_norm: Annotated[float, Field(gt=0, le=1000)] = 1.0
    trained: Trained = "last-layer"
