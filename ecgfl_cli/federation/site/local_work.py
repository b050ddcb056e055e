"""Train and measure on a site's own data, within its policy, and compose the replies."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgfl_cli.federation.messages import EvaluateReply, Kind, TrainReply, figures_of
from ecgfl_cli.federation.release_steps.chain import site_steps
from ecgfl_cli.federation.site.loss_check import LossCheck
from ecgfl_cli.federation.site.promotion import require_sane_loss
from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import METRICS, Metric, Policy
from ecgfl_cli.site.privacy_policy import PrivacyDemand
from ecgfl_cli.site.requests import Asked, RequestLog
from ecgfl_cli.training.acceptance import ByPatient, by_patient, total
from ecgfl_cli.training.dataset import Dataset, HeldOut, load_dataset
from ecgfl_cli.training.enough import require_enough, too_few_held_out
from ecgfl_cli.training.ledger.budget import PrivacyBudget
from ecgfl_cli.training.local import Measured, TrainingPlan, batches, train
from ecgfl_cli.training.private.mechanism import train_privately
from ecgfl_cli.training.private.plan import private_plan

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Trained:
    """Result of training on this site's data.

    Attributes
    ----------
    release
        The trained weights and the figures for the coordinator, before the release steps.
    beats
        Number of training beats.
    loss
        Mean loss in the last local epoch; None with differential privacy.
    """

    release: Release
    beats: int
    loss: float | None


@dataclass(frozen=True)
class MeasuredModel:
    """Result of a measurement on the held-out patients.

    Attributes
    ----------
    release
        The figures for the coordinator, before the release steps.
    figures
        Figures of each held-out patient, for the acceptance test.
    held_out
        The held-out patients.
    """

    release: Release
    figures: ByPatient
    held_out: HeldOut


class LocalWork:
    """Work of one site in one run.

    A coordinator's request is logged before the data is used, and the policy's hours and counts
    limit it. Work without a request (a dry run or a simulation, where `asked` is None) is not
    logged, and hours and counts do not limit it.

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
        self.requests = RequestLog(home.audit)
        """The recorded requests and releases of this site."""
        self._check = LossCheck(home, policy)
        self._datasets: dict[str, Dataset] = {}
        self._checked: set[str] = set()
        self.steps = site_steps(policy)
        """Release steps of this site."""

    def train(
        self,
        network: "nn.Module",
        manifest: Manifest,
        plan: TrainingPlan,
        asked: Asked | None = None,
        demand: PrivacyDemand | None = None,
    ) -> Trained:
        """Train a network in place.

        Parameters
        ----------
        network
            The network with the global weights.
        manifest
            Manifest of the global model.
        plan
            How to train.
        asked
            The coordinator's request; None in a dry run or a simulation.
        demand
            Least protection by differential privacy that the coordinator asks for.

        Returns
        -------
        Trained
            The reply and the figures of the training.

        Raises
        ------
        PolicyRefused
            If the policy forbids the plan or the request, or the site has too few data.
        ModelRejected
            If the global model is implausible on this site's held-out patients, or the training
            diverged.
        """
        self._allow_plan(plan)
        policy = self._policy.with_demand(demand)
        require_enough(self._home, self._policy)
        if asked is not None:
            self._begin_training(asked, manifest)
        network_architecture = architecture(manifest.architecture)
        dataset = self._dataset(network_architecture)
        examples = dataset.train
        if self._policy.dp is None:
            self._policy.require_asked(
                "steps", plan.epochs * batches(len(examples), plan.batch_size), "min_steps"
            )
        if asked is not None and not self._is_plausible(manifest):
            self._require_plausible(
                total(by_patient(network, manifest, dataset.held_out)), manifest
            )
        start = pack(network)
        if policy.dp is not None:
            self._train_privately(network, dataset, plan, policy, asked, manifest)
            return self._constant_release(network, start)
        loss = require_sane_loss(train(network, network_architecture, examples, plan), manifest)
        if self._policy.secagg == "required":  # the coordinator learns sums only
            return replace(self._constant_release(network, start), beats=len(examples), loss=loss)
        reply = TrainReply(examples=len(examples), pvcs=int(examples.is_pvc.sum()), loss=loss)
        release = Release(
            Kind.TRAIN,
            figures_of(reply),
            weights=pack(network),
            withheld=set(METRICS) - set(self._policy.metrics),
            start=start,
        )
        return Trained(release, len(examples), loss)

    def measure(
        self,
        network: "nn.Module",
        manifest: Manifest,
        asked: Asked | None = None,
        is_catch_up: bool = False,
    ) -> MeasuredModel:
        """Measure a network on the held-out patients.

        Parameters
        ----------
        network
            The network with the weights of the model.
        manifest
            Manifest of the model.
        asked
            The coordinator's request; None in a dry run or a simulation.
        is_catch_up
            Whether the model is the final one of an earlier run.

        Returns
        -------
        MeasuredModel
            The reply, and the figures for the acceptance test.

        Raises
        ------
        PolicyRefused
            If the policy forbids the request.
        ModelRejected
            If the model's loss is implausible.
        """
        if asked is not None:
            self._begin_measurement(asked, manifest, is_catch_up)
        held_out = self._dataset(architecture(manifest.architecture)).held_out
        figures = by_patient(network, manifest, held_out)
        measured = total(figures)
        require_sane_loss(measured.loss, manifest)
        if asked is not None:
            self._require_plausible(measured, manifest)
        return MeasuredModel(self._measured_release(measured), figures, held_out)

    @property
    def metrics(self) -> frozenset[Metric]:
        """Figures of the held-out patients that may leave this site.

        Empty with differential privacy, and if there are fewer held-out patients or beats than the
        policy requires.
        """
        if self._policy.dp is not None or too_few_held_out(self._home, self._policy):
            return frozenset()
        return frozenset(self._policy.metrics)

    def is_known(self, asked: Asked) -> bool:
        """Return whether this request was answered before."""
        return self.requests.is_known(asked.id)

    def begin_without_data(self, asked: Asked, manifest: Manifest) -> None:
        """Log a request that is answered without the use of any recording."""
        self.requests.begin(asked, "none", manifest.version, manifest.round)

    def _measured_release(self, measured: Measured) -> Release:
        """Return the reply about a measurement: only the number of beats if no metric may leave."""
        metrics = self.metrics
        if not metrics:
            is_hidden = self._policy.dp is not None or too_few_held_out(self._home, self._policy)
            only_examples = EvaluateReply(examples=0 if is_hidden else measured.beats)
            return Release(Kind.EVALUATE, figures_of(only_examples))
        reply = EvaluateReply(
            examples=measured.beats,
            pvcs=measured.pvcs,
            true_positives=measured.true_positives,
            false_positives=measured.false_positives,
            loss=measured.loss,
            sensitivity=measured.sensitivity,
            precision=measured.precision,
            others_by_logit=measured.others_by_logit.tolist(),
            pvcs_by_logit=measured.pvcs_by_logit.tolist(),
        )
        return Release(Kind.EVALUATE, figures_of(reply), withheld=set(METRICS) - metrics)

    def _train_privately(
        self,
        network: "nn.Module",
        dataset: Dataset,
        plan: TrainingPlan,
        policy: Policy,
        asked: Asked | None,
        manifest: Manifest,
    ) -> None:
        """Reserve a training in the privacy ledger, and train with differential privacy.

        `policy` is that of this site with the coordinator's demand: the ledger accounts for what is
        done.
        A dry run and a simulation spend nothing, because nothing leaves this site.
        """
        numbers = {patient: number for number, patient in enumerate(dataset.train_patients)}
        allowed = set(numbers)
        if asked is not None:
            this_round = manifest.round + 1
            allowed = PrivacyBudget(self._home, policy).reserve(
                dataset.train_patients, asked.id, asked.run, this_round
            )
        train_privately(
            network,
            architecture(manifest.architecture),
            dataset.train,
            private_plan(policy, plan),
            np.array(sorted(numbers[patient] for patient in allowed), dtype=np.int64),
        )

    def _constant_release(self, network: "nn.Module", start: NDArray[np.float32]) -> Trained:
        """Return a reply whose only figure is a constant, the number of beats that is required."""
        beats = self._policy.min_training_beats
        figures = figures_of(TrainReply(examples=beats))
        return Trained(
            Release(Kind.TRAIN, figures, weights=pack(network), start=start), beats, None
        )

    def _begin_training(self, asked: Asked, manifest: Manifest) -> None:
        """Check the policy's hours and counts for a training, and log the request."""
        policy = self._policy
        now = datetime.now().astimezone()
        policy.allow_hour(now)
        policy.allow_at_most(
            "rounds in 24 hours", self.requests.in_a_day("train", now) + 1, "max_rounds_a_day"
        )
        policy.allow_at_most(
            "rounds in a run", self.requests.in_run("train", asked.run) + 1, "max_rounds"
        )
        self.requests.begin(asked, "train", manifest.version, manifest.round + 1)

    def _begin_measurement(self, asked: Asked, manifest: Manifest, is_catch_up: bool) -> None:
        """Check the policy's hours and counts for a measurement, and log the request.

        The first measurement in a round in which this site has trained is allowed at any hour.
        """
        policy = self._policy
        log = self.requests
        now = datetime.now().astimezone()
        has_trained = log.in_round("train", asked.run, manifest.round)
        has_measured = log.in_round("measure", asked.run, manifest.round)
        if is_catch_up or not has_trained or has_measured:
            policy.allow_hour(now)
        in_a_day = log.in_a_day("measure", now) + 1
        policy.allow_at_most("measurements in 24 hours", in_a_day, "max_measurements_a_day")
        policy.allow_at_most(
            "measurements in a run", log.in_run("measure", asked.run) + 1, "max_measurements"
        )
        policy.allow_at_most(
            "measurements without a training in 24 hours",
            in_a_day - log.trainings_sent(now),
            "max_untrained_measurements",
        )
        log.begin(asked, "measure", manifest.version, manifest.round)

    def _is_plausible(self, manifest: Manifest) -> bool:
        """Return whether the weights are those of the current model or have passed the check."""
        return manifest.weights_sha256 in self._checked or self._check.is_current(manifest)

    def _require_plausible(self, measured: Measured, manifest: Manifest) -> None:
        """Compare a model's loss with that of the current model, if there are held-out beats."""
        if measured.beats:
            self._check.require(measured.loss, manifest)
        self._checked.add(manifest.weights_sha256)

    def _allow_plan(self, plan: TrainingPlan) -> None:
        """Raise `PolicyRefused` unless the policy allows the settings of a training."""
        policy = self._policy
        policy.allow_at_most("local epochs", plan.epochs, "max_local_epochs")
        policy.allow_at_most("learning rate", plan.learning_rate, "max_learning_rate")
        policy.require_asked("learning rate", plan.learning_rate, "min_learning_rate")
        policy.allow_at_most("batch size", plan.batch_size, "max_batch_size")
        policy.require_asked("batch size", plan.batch_size, "min_batch_size")
        policy.allow_at_most("proximal mu", plan.proximal_mu, "max_proximal_mu")

    def _dataset(self, architecture: Architecture) -> Dataset:
        """Return the examples for an architecture, which are loaded once."""
        if architecture.name not in self._datasets:
            self._datasets[architecture.name] = load_dataset(self._home, architecture)
        return self._datasets[architecture.name]
