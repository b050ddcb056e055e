"""Refuse models whose loss on this site's held-out patients is far above that of the current model.

A model that was crafted to extract information from a site's data usually finds PVCs badly. The
check does not catch all of them, because a good model can be crafted too. The policy's limits on
measurements and trainings bound how much they can extract.
"""

import math

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.architecture import architecture
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.site_models import registry_of
from ecgfl_cli.models.starter import starter_registry
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.acceptance import by_patient, total
from ecgfl_cli.training.dataset import load_held_out

LEAST_REFERENCE = 0.1
"""Smallest reference value (log loss). If the current model is nearly perfect, a multiple of its
loss is meaningless. At four sites of mitdb (42 records) the starter model has a loss of 0.012 to
0.042. In five rounds of `beatnet` with the usual plan, the loss is 0.014 to 0.055 from the first
round on, which is up to four times as much. Random weights have 0.28 to 0.51 there."""

UNTRAINED = math.log(2)
"""Log loss of a probability of 1/2 for every beat. The loss of random weights is near it: 0.28 to
0.51 with `beatnet`, 0.6 to 0.8 with `ecgnet`."""


class LossCheck:
    """Compares a model's loss with that of the current model, which is measured once."""

    def __init__(self, home: Home, policy: Policy) -> None:
        self._home, self._policy = home, policy
        self._current: dict[str, tuple[str, float]] = {}

    def is_current(self, manifest: Manifest) -> bool:
        """Whether a model has the weights of the current one."""
        registry = registry_of(self._home, None)
        try:
            return (
                registry.entry(registry.current() or "").manifest.weights_sha256
                == manifest.weights_sha256
            )
        except (ModelRejected, UsageError):
            return False

    def require(self, loss: float, manifest: Manifest) -> None:
        """Raises `ModelRejected` if the loss on the held-out patients is above the policy's
        multiple of the current model's.
        """
        name, reference = self._reference(manifest)
        ratio = self._policy.max_loss_ratio
        if loss > ratio * reference:
            raise ModelRejected(
                f"model {manifest.version}: its loss on this site's held-out patients is {loss:.3g}, far above {reference:.3g} of"
                f" {name} (policy.max_loss_ratio = {ratio:g})",
                "Ask the coordinator what this model is. For a run from random weights that this site agrees to, set"
                " policy.from_scratch = true in site.toml",
            )

    def _reference(self, manifest: Manifest) -> tuple[str, float]:
        """Return the name and the value of the loss to compare with."""
        version, other, loss = self._of_current()
        name, least = (f"the current model {version}", LEAST_REFERENCE)
        if self._policy.from_scratch or other != manifest.architecture:
            least = UNTRAINED
        return (
            (name, loss)
            if loss >= least
            else ("an untrained model" if least == UNTRAINED else "a good model", least)
        )

    def _of_current(self) -> tuple[str, str, float]:
        """Version, architecture and loss of the current model, or of the starter model if that is
        unusable.
        """
        for registry in (registry_of(self._home, None), starter_registry()):
            try:
                return self._measured(registry)
            except (ModelRejected, UsageError):
                continue
        return "none", "none", 0.0

    def _measured(self, registry: Registry) -> tuple[str, str, float]:
        version = registry.current()
        if version is None:
            raise UsageError("no current model", "-")
        if version not in self._current:
            manifest, network = registry.load(version)
            held_out = load_held_out(self._home, architecture(manifest.architecture))
            self._current[version] = (
                manifest.architecture,
                total(by_patient(network, manifest, held_out)).loss,
            )
        return version, *self._current[version]
