"""Refuse a model whose loss on this site's held-out patients is far above the current model's.

A model that was crafted to extract information from a site's data usually detects PVCs poorly. The
check does not catch every crafted model, because such a model can also detect PVCs well. The
policy limits how often a site trains and measures, and thereby how much a model can extract.
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
"""Smallest log loss that models are compared with. If the current model is nearly perfect, a
multiple of its own loss is too strict.

At four sites of mitdb (42 records), the log loss of the starter model is 0.012 to 0.042. In five
rounds of `beatnet` with the usual plan, the loss is 0.014 to 0.055 from the first round on, up to
four times as much. Random weights have 0.28 to 0.51 there."""

UNTRAINED = math.log(2)
"""Log loss of a probability of 1/2 for every beat. The loss of random weights is of this size: 0.28
to 0.51 with `beatnet`, 0.6 to 0.8 with `ecgnet`."""


class LossCheck:
    """Compares the loss of models with that of the current model, which is measured once.

    Parameters
    ----------
    home
        Home of the site.
    policy
        Policy of the site, from site.toml.
    """

    def __init__(self, home: Home, policy: Policy) -> None:
        self._home = home
        self._policy = policy
        self._current: dict[str, tuple[str, float]] = {}

    def is_current(self, manifest: Manifest) -> bool:
        """Return whether a model has the same weights as the current model."""
        registry = registry_of(self._home, None)
        try:
            return (
                registry.entry(registry.current() or "").manifest.weights_sha256
                == manifest.weights_sha256
            )
        except (ModelRejected, UsageError):
            return False

    def require(self, loss: float, manifest: Manifest) -> None:
        """Check that a model's loss is at most the policy's multiple of the current model's loss.

        Parameters
        ----------
        loss
            Log loss of the model on this site's held-out patients.
        manifest
            Manifest of the model.

        Raises
        ------
        ModelRejected
            If the loss is larger.
        """
        name, reference = self._reference(manifest)
        ratio = self._policy.max_loss_ratio
        if loss > ratio * reference:
            raise ModelRejected(
                f"model {manifest.version}: its loss on this site's held-out patients is "
                f"{loss:.3g}, more than {ratio:g} times (policy.max_loss_ratio) the loss "
                f"{reference:.3g} of {name}",
                "Ask the coordinator what this model is. If this site agrees to a run from random "
                "weights, set policy.from_scratch = true in site.toml",
            )

    def _reference(self, manifest: Manifest) -> tuple[str, float]:
        """Return the name and the loss of the model to compare with.

        This is the current model if its loss is at least `LEAST_REFERENCE`, or `UNTRAINED` if the
        run may start from random weights or the models have different architectures. Otherwise
        this value is the reference.
        """
        version, current_architecture, loss = self._of_current()
        name = "a good model"
        least = LEAST_REFERENCE
        if self._policy.from_scratch or current_architecture != manifest.architecture:
            name = "an untrained model"
            least = UNTRAINED
        return (f"the current model {version}", loss) if loss >= least else (name, least)

    def _of_current(self) -> tuple[str, str, float]:
        """Return version, architecture and loss of the current model.

        If it cannot be used, return those of the starter model, and a loss of 0 if that cannot be
        used either.
        """
        for registry in (registry_of(self._home, None), starter_registry()):
            try:
                return self._measured(registry)
            except (ModelRejected, UsageError):
                continue
        return "none", "none", 0.0

    def _measured(self, registry: Registry) -> tuple[str, str, float]:
        """Return version, architecture and loss of the current model of a registry."""
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
