"""What a site does for one round: train or measure on its own data, within its policy, and put the answer together."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from flwr.app import RecordDict

from ecgfl_cli.federation.site.promotion import require_sane_loss
from ecgfl_cli.federation.wire import EvaluateReply, TrainReply, reply_content, weights_record
from ecgfl_cli.models.architecture import Architecture, architecture
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.models.packing import pack
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.policy import METRICS, Policy
from ecgfl_cli.site.rounds_sent import rounds_in_a_day, rounds_in_run
from ecgfl_cli.training.acceptance import ByPatient, by_patient, total
from ecgfl_cli.training.dataset import Dataset, HeldOut, load_dataset
from ecgfl_cli.training.enough import require_enough
from ecgfl_cli.training.local import TrainingPlan, train

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Trained:
    """content : of the reply. beats : that were trained on. loss : of the last local epoch."""

    content: RecordDict
    beats: int
    loss: float


@dataclass(frozen=True)
class MeasuredModel:
    """content : of the reply. figures : of each of the patients held out, for the acceptance test."""

    content: RecordDict
    figures: ByPatient
    held_out: HeldOut


class LocalWork:
    """One site's work in one run. Raises `PolicyRefused` for what site.toml does not allow, before the data is touched.

    unasked : nobody asked for it: leaves out the policy's hours and numbers of rounds.
    """

    def __init__(self, home: Home, policy: Policy, unasked: bool = False) -> None:
        self._home, self._policy, self._unasked = home, policy, unasked
        self._withheld = set(METRICS) - set(policy.metrics)
        self._datasets: dict[str, Dataset] = {}

    def train(self, network: "nn.Module", manifest: Manifest, plan: TrainingPlan) -> Trained:
        """Train the network in place. manifest : of the model that it is before."""
        self._allow(plan, manifest.run)
        require_enough(self._home, self._policy)
        wanted = architecture(manifest.architecture)
        examples = self._dataset(wanted).train
        self._policy.require_at_least("labelled beats", len(examples), "min_training_beats")
        loss = require_sane_loss(train(network, wanted, examples, plan), manifest)
        reply = TrainReply(examples=len(examples), pvcs=int(examples.is_pvc.sum()), loss=loss)
        return Trained(reply_content(reply, weights_record(pack(network)), self._withheld), len(examples), loss)

    def measure(self, network: "nn.Module", manifest: Manifest) -> MeasuredModel:
        """Measure the network on the held-out patients."""
        held_out = self._dataset(architecture(manifest.architecture)).held_out
        figures = by_patient(network, manifest, held_out)
        measured = total(figures)
        require_sane_loss(measured.loss, manifest)
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
        return MeasuredModel(reply_content(reply, withheld=self._withheld), figures, held_out)

    def _allow(self, plan: TrainingPlan, run: str) -> None:
        policy, audit, now = self._policy, self._home.audit, datetime.now().astimezone()
        if not self._unasked:
            policy.allow_hour(now)
            policy.allow_at_most("rounds in 24 hours", rounds_in_a_day(audit, now) + 1, "max_rounds_a_day")
            policy.allow_at_most("rounds in a run", rounds_in_run(audit, run) + 1, "max_rounds")
        policy.allow_at_most("local epochs", plan.epochs, "max_local_epochs")
        policy.allow_at_most("learning rate", plan.learning_rate, "max_learning_rate")
        policy.allow_at_most("batch size", plan.batch_size, "max_batch_size")

    def _dataset(self, wanted: Architecture) -> Dataset:
        if wanted.name not in self._datasets:
            self._datasets[wanted.name] = load_dataset(self._home, wanted)
        return self._datasets[wanted.name]
