"""Take part in the stages of secure aggregation."""

import secrets
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from ecgfl_cli.errors import PolicyRefused, RequestRefused, ServerRefused, StageMissed
from ecgfl_cli.federation.messages import Kind, TrainRequest
from ecgfl_cli.federation.secagg.agreement import FEWEST_MEMBERS, Agreement, RoundMember
from ecgfl_cli.federation.secagg.coordinator_side import CoordinatorRound
from ecgfl_cli.federation.secagg.site_side import LEAVE_ROUND, SiteRound
from ecgfl_cli.federation.secagg.stages import (
    REPLY,
    KeysRequest,
    MaskedTraining,
    SharesRequest,
    SurvivorsRequest,
    UnmaskRequest,
)
from ecgfl_cli.federation.signed_requests import StageRequest
from ecgfl_cli.models.manifest import Manifest
from ecgfl_cli.schemas import StrictModel
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import fingerprint_of, load_node_key
from ecgfl_cli.site.outbox import Release
from ecgfl_cli.site.policy import Policy
from ecgfl_cli.site.requests import Asked, RequestLog, Work

LARGEST_RATIO = 1e6
"""Bound on the norm of an update that is not sent."""

STAGES: dict[Kind, type[StageRequest]] = {
    Kind.KEYS: KeysRequest,
    Kind.SHARES: SharesRequest,
    Kind.SURVIVORS: SurvivorsRequest,
    Kind.UNMASK: UnmaskRequest,
}
"""Kind of a message -> its schema."""


@dataclass(frozen=True)
class RoundMasks:
    """The masks of this site in a round.

    Attributes
    ----------
    secure_round
        The round.
    training
        The coordinator's part of the request.
    """

    secure_round: SiteRound
    training: MaskedTraining

    def applied(
        self, change: NDArray[np.float64], start: NDArray[np.float32]
    ) -> NDArray[np.uint32]:
        """Return a change of the global weights with all masks, shape (n,)."""
        return self.secure_round.masked(self.training, change, start)


def rehearsed_masks() -> RoundMasks:
    """Return masks as in a round with two other sites, for a message that is not sent."""
    keys = [ec.generate_private_key(ec.SECP384R1()) for _ in range(FEWEST_MEMBERS)]
    by_site = {fingerprint_of(key.public_key()): key for key in keys}
    sites = sorted(by_site)
    agreement = Agreement(
        id=secrets.token_hex(16),
        run="dry-run",
        round=1,
        version="dry-run",
        manifest_sha256="0" * 64,
        plan_sha256="0" * 64,
        members=[RoundMember(site=site) for site in sites],
        threshold=FEWEST_MEMBERS,
    )
    public_keys = {site: key.public_key() for site, key in by_site.items()}
    coordinator = CoordinatorRound(agreement, public_keys)
    sides = {site: SiteRound(agreement, key, site, sites) for site, key in by_site.items()}
    for site, side in sides.items():
        coordinator.take_keys(site, side.keys)
    request = coordinator.shares_request()
    for site, side in sides.items():
        coordinator.take_shares(site, side.shares(request))
    training = coordinator.training_for(sites[0], LARGEST_RATIO)
    sides[sites[0]].open_shares(training)
    return RoundMasks(sides[sites[0]], training)


class SecureTraining:
    """Secure aggregation at one site in one session.

    The keys of a round are only in memory: a site that is restarted drops out of the round.

    Parameters
    ----------
    home
        Home of the site.
    policy
        Policy of the site.
    site
        SHA-256 of the site's public node key.
    log
        The recorded requests and releases of the site.
    """

    def __init__(self, home: Home, policy: Policy, site: str, log: RequestLog) -> None:
        self._home = home
        self._policy = policy
        self._site = site
        self._log = log
        self._round: SiteRound | None = None

    def answer(self, kind: Kind, request: StageRequest, asked: Asked) -> Release:
        """Do one stage, and return the reply.

        Raises
        ------
        PolicyRefused
            If the policy has no secure aggregation, or does not name a site of the round.
        RequestRefused
            If a stage does not fit the ones before.
        StageMissed
            If this session has not begun the round.
        """
        reply: StrictModel
        if isinstance(request, KeysRequest):
            reply = self._begin(request.agreement, asked)
        elif isinstance(request, SharesRequest):
            reply = self._current(request.agreement, asked, "none").shares(request)
        elif isinstance(request, SurvivorsRequest):
            reply = self._current(request.agreement, asked, "none").survivors(request)
        else:
            current = self._current(request.agreement, asked, "unmask")
            reply = current.unmask(request)
            self._round = None
        return Release(kind, texts={REPLY: reply.model_dump_json()})

    def masks(self, request: TrainRequest, manifest: Manifest) -> RoundMasks | None:
        """Return the masks for the update of a training; None without secure aggregation.

        Parameters
        ----------
        request
            The request to train.
        manifest
            Manifest of its model.

        Raises
        ------
        ServerRefused
            If the request lacks the peers' shares.
        RequestRefused
            If the request is not the one on which the sites agreed, or a share does not decrypt.
        StageMissed
            If this session has not begun the round.
        """
        if self._policy.secagg == "off":
            return None
        training = request.secagg
        if training is None:
            raise ServerRefused(
                "the coordinator asks for a masked update without the shares of the other sites",
                "Install the same ecgfl version on both sides",
            )
        current = self._require(training.agreement)
        agreement = current.agreement
        stated = (
            agreement.run,
            agreement.round,
            agreement.version,
            agreement.manifest_sha256,
            agreement.plan_sha256,
        )
        sent = (
            manifest.run,
            manifest.round + 1,
            manifest.version,
            request.model.sha256,
            request.plan_sha256,
        )
        if stated != sent:
            raise RequestRefused(
                f"the coordinator sends model {manifest.version} and a training for it that are "
                f"not those on which the sites of round {agreement.round} have agreed "
                f"({agreement.version})",
                LEAVE_ROUND,
            )
        current.open_shares(training)
        return RoundMasks(current, training)

    def _begin(self, agreement: Agreement, asked: Asked) -> StrictModel:
        if self._policy.secagg == "off":
            raise PolicyRefused(
                "the coordinator begins a round with secure aggregation, and policy.secagg is "
                '"off"',
                'Set secagg = "required" and peers in [policy] of site.toml',
            )
        if agreement.run != asked.run:
            raise RequestRefused(
                f"a round of run {agreement.run} in a request of run {asked.run}", LEAVE_ROUND
            )
        if self._log.in_round("unmask", agreement.run, agreement.round):
            raise RequestRefused(
                f"round {agreement.round} of run {agreement.run} was unmasked before: the "
                "difference of two sums over the same round could be the update of one site",
                "Tell the coordinator to begin a new run from the last model: the command of this "
                f"run with `--init-from {agreement.version}` added",
            )
        self._log.begin(asked, "none", agreement.version, agreement.round)
        self._round = SiteRound(agreement, self._node_key, self._site, self._policy.peers)
        return self._round.keys

    @cached_property
    def _node_key(self) -> ec.EllipticCurvePrivateKey:
        """Private node key. To decrypt it takes a moment, so this happens once in a session."""
        return load_node_key(self._home)

    def _current(self, digest: str, asked: Asked, work: Work) -> SiteRound:
        """Return the round of a request, after the request is logged.

        The log counts unmaskings by the run of the request, so it must be that of the round.
        """
        current = self._require(digest)
        if asked.run != current.agreement.run:
            raise RequestRefused(
                f"a round of run {current.agreement.run} in a request of run {asked.run}",
                LEAVE_ROUND,
            )
        self._log.begin(asked, work, current.agreement.version, current.agreement.round)
        return current

    def _require(self, digest: str) -> SiteRound:
        if self._round is None or self._round.agreement.digest.hex() != digest:
            raise StageMissed(
                "the coordinator continues a round of secure aggregation that this session has "
                "not begun",
                "Nothing needs to be done: this site takes part again from the next round on",
            )
        return self._round
