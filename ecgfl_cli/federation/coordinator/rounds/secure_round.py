"""Run the stages of secure aggregation in one round."""

import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from ecgfl_cli.federation.coordinator.rounds.replies import (
    SERVE_AGAIN,
    PhaseReplies,
    RoundFailed,
    log_dropped,
)
from ecgfl_cli.federation.coordinator.runs.checkpoints import Checkpoints
from ecgfl_cli.federation.coordinator.runs.dropped import Dropped
from ecgfl_cli.federation.coordinator.runs.run_plan import RunPlan
from ecgfl_cli.federation.messages import Kind, TrainReply, TrainRequest, masked_of
from ecgfl_cli.federation.release_steps.step import SiteUpdate
from ecgfl_cli.federation.secagg.agreement import (
    FEWEST_MEMBERS,
    MOST_MEMBERS,
    Agreement,
    RoundMember,
    usual_threshold,
)
from ecgfl_cli.federation.secagg.coordinator_side import CoordinatorRound, SumLost
from ecgfl_cli.federation.secagg.stages import (
    LARGEST_REPLY,
    REPLY,
    KeysRequest,
    RoundKeys,
    SealedShares,
    SignedSurvivors,
    UnmaskingShares,
)
from ecgfl_cli.federation.signed_requests import StageRequest
from ecgfl_cli.federation.transport import CoordinatorTransport, Reply, Request
from ecgfl_cli.schemas import StrictModel, first_fault

_log = logging.getLogger(__name__)

StageReply = TypeVar("StageReply", bound=StrictModel)

BEGIN_ANEW = (
    "No single update was revealed. Sites unmask a round only once, so begin a new run from the "
    "last model: the same command with `--init-from {version}` added"
)


class KeyedSites(Protocol):
    """Sites whose public node keys are known."""

    def fingerprint(self, node: int) -> str:
        """Return the SHA-256 of the public key of a node, in hexadecimal."""
        ...

    def node_key(self, node: int) -> ec.EllipticCurvePublicKey:
        """Return the enrolled public key of a node."""
        ...


class SecureRound:
    """One round with secure aggregation, as the coordinator runs it.

    Parameters
    ----------
    plan
        Plan of the run.
    sites
        The keys of the sites.
    checkpoints
        The models of the run.
    replies
        The sites that are asked in this phase. After each stage, these are the sites that remain.
    transport
        Carries the messages of the run.
    request
        The request to train.

    Attributes
    ----------
    dropped
        The sites whose updates are not in the sum.

    Raises
    ------
    RoundFailed
        If too few or too many sites are connected.
    """

    def __init__(
        self,
        plan: RunPlan,
        sites: KeyedSites,
        checkpoints: Checkpoints,
        replies: PhaseReplies,
        transport: CoordinatorTransport,
        request: TrainRequest,
    ) -> None:
        self._plan = plan
        self._sites = sites
        self._checkpoints = checkpoints
        self._replies = replies
        self._transport = transport
        self._request = request
        self.dropped: list[Dropped] = []
        latest = checkpoints.latest
        count = len(replies.names)
        self._number = latest.manifest.round + 1
        if not FEWEST_MEMBERS <= count <= MOST_MEMBERS:
            raise RoundFailed(
                f"round {self._number}: secure aggregation needs {FEWEST_MEMBERS} to {MOST_MEMBERS}"
                f" sites, and {count} are asked",
                "Set --min-sites and the sections [sites.NAME] of federation.toml accordingly, then"
                " serve again",
            )
        members = [
            RoundMember(site=sites.fingerprint(node), weight=plan.weights.get(name, 1))
            for node, name in replies.names.items()
        ]
        self._round = CoordinatorRound(
            Agreement(
                id=secrets.token_hex(16),
                run=latest.manifest.run,
                round=self._number,
                version=latest.manifest.version,
                manifest_sha256=request.model.sha256,
                plan_sha256=request.plan_sha256,
                members=sorted(members, key=lambda member: member.site),
                threshold=usual_threshold(count),
            ),
            {sites.fingerprint(node): sites.node_key(node) for node in replies.names},
        )

    def training_requests(self) -> list[Request]:
        """Exchange keys and shares, and return the requests to train.

        Raises
        ------
        RoundFailed
            If fewer sites remain than the threshold.
        """
        agreement = self._round.agreement
        self.dropped += self._stage(
            Kind.KEYS, KeysRequest(agreement=agreement), RoundKeys, self._round.take_keys
        )
        self.dropped += self._stage(
            Kind.SHARES, self._round.shares_request(), SealedShares, self._round.take_shares
        )
        weights = self._checkpoints.weights
        requests = []
        for node in self._replies.names:
            site = self._sites.fingerprint(node)
            part = self._round.training_for(site, self._plan.max_update_ratio)
            request = self._request.model_copy(update={"secagg": part})
            content = self._checkpoints.sealed(request, weights, site)
            requests.append(Request(node, Kind.TRAIN, content))
        return requests

    def combined(
        self, usable: Sequence[tuple[Reply, TrainReply]], dropped: Sequence[Dropped]
    ) -> SiteUpdate:
        """Unmask the sum of the masked updates.

        Parameters
        ----------
        usable
            The usable replies to the requests to train.
        dropped
            The sites without one.

        Returns
        -------
        SiteUpdate
            The mean of the sites' weights.

        Raises
        ------
        RoundFailed
            If fewer sites remain than the threshold, or their shares are wrong.
        """
        self._round.updates = {
            self._sites.fingerprint(reply.node): masked_of(reply.content) for reply, _ in usable
        }
        self.dropped += dropped
        self._remain("training", usable)
        names = sorted(self._replies.names.values())
        gone = self._stage(
            Kind.SURVIVORS,
            self._round.survivors_request(),
            SignedSurvivors,
            self._round.take_signature,
        )
        gone += self._stage(
            Kind.UNMASK, self._round.unmask_request(), UnmaskingShares, self._round.take_unmasking
        )
        for each in gone:
            _log.warning(
                f"{each.site} dropped out after its update: {each.reason}; its update counts"
            )
        try:
            change = self._round.unmasked_mean()
        except SumLost as error:
            raise RoundFailed(
                f"round {self._number}: {error.problem}", f"{error.fix}. {self.begin_anew}"
            ) from error
        weights = (self._checkpoints.weights + change).astype(np.float32)
        examples = sum(figures.examples for _, figures in usable)
        return SiteUpdate(tuple(names), weights, examples, examples)

    @property
    def begin_anew(self) -> str:
        """What to do if the round fails after sites have unmasked it."""
        return BEGIN_ANEW.format(version=self._checkpoints.latest.manifest.version)

    def _stage(
        self,
        kind: Kind,
        request: StageRequest,
        schema: type[StageReply],
        take: Callable[[str, StageReply], None],
    ) -> list[Dropped]:
        """Ask the sites that remain, and return those that drop out."""

        def check(reply: Reply) -> None:
            if reply.content.problem is not None:
                raise ValueError(reply.content.problem)
            text = reply.content.texts.get(REPLY, "")
            if len(text) > LARGEST_REPLY:
                raise ValueError(f"a reply of {len(text)} characters")
            try:
                take(self._sites.fingerprint(reply.node), schema.model_validate_json(text))
            except ValidationError as error:
                raise ValueError(str(first_fault(error))) from error

        requests = [
            Request(
                node, kind, self._checkpoints.sealed(request, None, self._sites.fingerprint(node))
            )
            for node in self._replies.names
        ]
        replies = self._transport.ask(requests, self._plan.phase_timeout)
        usable, dropped = self._replies.sorted_out(replies, check)
        self._remain(kind.value, usable, dropped)
        return dropped

    def _remain(
        self,
        stage: str,
        usable: Sequence[tuple[Reply, object]],
        dropped: Sequence[Dropped] = (),
    ) -> None:
        """Go on with the sites that have replied. Raise `RoundFailed` if they are too few."""
        kept = {reply.node for reply, _ in usable}
        self._replies.names = {
            node: name for node, name in self._replies.names.items() if node in kept
        }
        needed = max(self._round.agreement.threshold, self._plan.min_sites)
        if stage in (Kind.SURVIVORS.value, Kind.UNMASK.value):  # the updates of more sites count
            needed = self._round.agreement.threshold
        if len(kept) < needed:
            gone = [*self.dropped, *dropped]
            log_dropped(self._number, gone)
            reasons = "; ".join(map(str, gone)) or "no other site was asked"
            raise RoundFailed(
                f"round {self._number}: {len(kept)} of {len(self._round.agreement.members)} sites "
                f"are left after the stage {stage} of secure aggregation, and {needed} are "
                f"needed ({reasons})",
                self.begin_anew
                if stage == Kind.UNMASK.value
                else f"No update was revealed. {SERVE_AGAIN}",
            )
