"""Answer the simulated coordinator's requests for virtual sites.

They do the same work as `ecgfl join`, without a registry and without an audit log.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgfl_cli.federation.messages import Content, EvaluateRequest, Kind, TrainRequest
from ecgfl_cli.federation.release_steps.chain import require_same_steps
from ecgfl_cli.federation.signed_requests import Received, read_request
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite
from ecgfl_cli.federation.site.local_work import LocalWork
from ecgfl_cli.models.manifest import Manifest, public_key_from_text
from ecgfl_cli.models.networks import network_of
from ecgfl_cli.site.outbox import Release, prepared
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn

_WORK: dict[Path, LocalWork] = {}
"""By home, in each of the engine's processes, so that the beats are read only once."""


class VirtualParticipants:
    """Answers for all virtual sites.

    Parameters
    ----------
    sites
        The virtual sites.
    policy
        Policy of all of them.
    signing_key
        Public signing key of the simulated coordinator, base64.
    """

    def __init__(self, sites: Sequence[VirtualSite], policy: Policy, signing_key: str) -> None:
        self.sites = sites
        self._policy = policy
        self._signing_key = signing_key

    def answer(self, place: int, kind: Kind, content: Content) -> Release:
        """Answer a request for one site.

        Parameters
        ----------
        place
            Index of the site.
        kind
            Kind of the request.
        content
            Content of the request.

        Raises
        ------
        EcgflError
            If the request is refused or fails.
        """
        site = self.sites[place]
        work = _work(site, self._policy)
        release = (
            train(content, site, work, self._signing_key)
            if kind is Kind.TRAIN
            else evaluate(content, site, work, self._signing_key)
        )
        return prepared(release, work.steps, None)


def train(content: Content, site: VirtualSite, work: LocalWork, signing_key: str) -> Release:
    """Answer a `TrainRequest`."""
    received = read_request(
        content, TrainRequest, public_key_from_text(signing_key), site.fingerprint
    )
    request = received.content
    require_same_steps(work.steps, request.steps)
    manifest, network = _open(received, signing_key)
    plan = TrainingPlan(
        request.epochs,
        request.learning_rate,
        request.batch_size,
        request.seed,
        proximal_mu=request.proximal_mu,
    )
    return work.train(network, manifest, plan, demand=request.privacy).release


def evaluate(content: Content, site: VirtualSite, work: LocalWork, signing_key: str) -> Release:
    """Answer an `EvaluateRequest`."""
    received = read_request(
        content, EvaluateRequest, public_key_from_text(signing_key), site.fingerprint
    )
    manifest, network = _open(received, signing_key)
    return work.measure(network, manifest).release


def _open(
    received: Received[TrainRequest] | Received[EvaluateRequest], signing_key: str
) -> "tuple[Manifest, nn.Module]":
    manifest = received.content.model.open(public_key_from_text(signing_key))
    return manifest, network_of(manifest, received.vector)


def _work(site: VirtualSite, policy: Policy) -> LocalWork:
    if site.home.root not in _WORK:
        _WORK[site.home.root] = LocalWork(site.home, policy)
    return _WORK[site.home.root]
