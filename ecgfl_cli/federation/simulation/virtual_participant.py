"""What a virtual site does with the simulated coordinator's requests: `join`'s own work, without a registry and an audit log."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

from ecgfl_cli.errors import EcgflError
from ecgfl_cli.federation.simulation.ray_engine import place_of
from ecgfl_cli.federation.signed_requests import Content, Received, read_request
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite
from ecgfl_cli.federation.site.local_work import LocalWork
from ecgfl_cli.federation.messages import FAILED, EvaluateRequest, TrainRequest
from ecgfl_cli.models.manifest import Manifest, public_key_from_text
from ecgfl_cli.models.registry import network_of
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.training.local import TrainingPlan

if TYPE_CHECKING:
    from torch import nn

_WORK: dict[Path, LocalWork] = {}
"""By home, in each of the engine's processes: the beats are read once."""


def virtual_app(sites: Sequence[VirtualSite], policy: Policy, signing_key: str) -> ClientApp:
    """The Flower app that answers for all of these sites. signing_key : in base64, of the simulated coordinator."""
    app = ClientApp()

    @app.train()
    def _train(message: Message, context: Context) -> Message:
        site = sites[place_of(context)]
        try:
            return train(message, site, _work(site, policy), signing_key)
        except EcgflError as error:
            return failed(message, site, error)

    @app.evaluate()
    def _evaluate(message: Message, context: Context) -> Message:
        site = sites[place_of(context)]
        try:
            return evaluate(message, site, _work(site, policy), signing_key)
        except EcgflError as error:
            return failed(message, site, error)

    return app


def train(message: Message, site: VirtualSite, work: LocalWork, signing_key: str) -> Message:
    """Answer a `TrainRequest`."""
    received = read_request(
        message, TrainRequest, public_key_from_text(signing_key), site.fingerprint
    )
    request = received.content
    manifest, network = _open(received, signing_key)
    plan = TrainingPlan(
        request.epochs,
        request.learning_rate,
        request.batch_size,
        request.seed,
        proximal_mu=request.proximal_mu,
    )
    return Message(work.train(network, manifest, plan).content, reply_to=message)


def evaluate(message: Message, site: VirtualSite, work: LocalWork, signing_key: str) -> Message:
    """Answer an `EvaluateRequest`."""
    received = read_request(
        message, EvaluateRequest, public_key_from_text(signing_key), site.fingerprint
    )
    manifest, network = _open(received, signing_key)
    return Message(work.measure(network, manifest).content, reply_to=message)


def failed(message: Message, site: VirtualSite, error: EcgflError) -> Message:
    """The reason in words: it does not leave this machine."""
    return Message(Error(FAILED, f"{site.name}: {error}"), reply_to=message)


def _open(received: Received[Content], signing_key: str) -> "tuple[Manifest, nn.Module]":
    manifest = received.content.model.open(public_key_from_text(signing_key))
    return manifest, network_of(manifest, received.vector)


def _work(site: VirtualSite, policy: Policy) -> LocalWork:
    if site.home.root not in _WORK:
        _WORK[site.home.root] = LocalWork(site.home, policy)
    return _WORK[site.home.root]
