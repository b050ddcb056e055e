"""Compute the privacy loss of trainings, with Google's dp-accounting.

Decisions use Renyi differential privacy (Mironov, CSF 2017; for Poisson sampling Mironov, Talwar &
Zhang, 2019), which composes even if each training is chosen after the result of the last one. The
tighter accounting by privacy loss distributions is valid only for a plan that is fixed in advance:
it is shown and never decides. Neighbouring data sets differ in one unit, added or removed.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.privacy_policy import NoiseMultiplier, Sampling, Steps

if TYPE_CHECKING:
    from dp_accounting import DpEvent
    from dp_accounting.privacy_accountant import PrivacyAccountant

# dp-accounting takes seconds to import, and sites without differential privacy do not need it.


class Mechanism(StrictModel):
    """Some steps of noisy, clipped gradients with Poisson sampling.

    Attributes
    ----------
    noise_multiplier : float
        Standard deviation of the noise, as a multiple of the clipping norm.
    sampling : float
        Probability with which a unit is part of a step.
    steps : int
        Number of steps.
    """

    noise_multiplier: NoiseMultiplier
    sampling: Sampling
    steps: Steps


def epsilon_of(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """Return the epsilon of some trainings at `delta`; 0 for none."""
    from dp_accounting.rdp import RdpAccountant

    return _composed(RdpAccountant(), mechanisms, delta)


def epsilon_of_fixed_plan(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """Return the smaller epsilon that holds if all trainings were fixed in advance."""
    from dp_accounting.pld import PLDAccountant

    return _composed(PLDAccountant(), mechanisms, delta)


def _composed(
    accountant: "PrivacyAccountant", mechanisms: Iterable[Mechanism], delta: float
) -> float:
    steps: Counter[tuple[float, float]] = Counter()
    for mechanism in mechanisms:
        steps[mechanism.noise_multiplier, mechanism.sampling] += mechanism.steps
    if not steps:
        return 0.0
    with _quiet():
        for (noise_multiplier, sampling), count in sorted(steps.items()):
            accountant.compose(_event(noise_multiplier, sampling), count)
        return float(accountant.get_epsilon(delta))


def _event(noise_multiplier: float, sampling: float) -> "DpEvent":
    """Return one step."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent

    gaussian = GaussianDpEvent(noise_multiplier)
    return gaussian if sampling == 1 else PoissonSampledDpEvent(sampling, gaussian)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence dp-accounting, which logs each order of the divergence that it leaves out."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
