"""The coordinator's side of secure aggregation in one round."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from ecgfl_cli.errors import ServerError
from ecgfl_cli.federation.secagg.agreement import Agreement
from ecgfl_cli.federation.secagg.primitives import (
    combine,
    commitment,
    is_signed,
    mask,
    masking_key,
    public_hex,
    shared_secret,
)
from ecgfl_cli.federation.secagg.ring import mean_change
from ecgfl_cli.federation.secagg.site_side import KEYS, SURVIVORS, survivors_bytes
from ecgfl_cli.federation.secagg.stages import (
    MaskedTraining,
    PeerKeys,
    RoundKeys,
    SealedShares,
    SharesRequest,
    SignedSurvivors,
    SurvivorsRequest,
    UnmaskingShares,
    UnmaskRequest,
)
from ecgfl_cli.site.keys import key_bytes

MOST_COMBINATIONS = 200
"""Largest number of sets of shares that are tried for a seed if some of them are wrong."""


class SumLost(ServerError):
    """The sum of a round cannot be unmasked; no single update can be, either."""


@dataclass
class CoordinatorRound:
    """What the coordinator has received in a round. The sites are named by their fingerprints.

    Attributes
    ----------
    agreement
        The round.
    node_keys
        Site -> its enrolled public node key.
    keys
        Site -> its keys of the round.
    shares
        Site -> its sealed shares, in the order of the sites with keys.
    updates
        Site -> its masked update, shape (n,).
    signatures
        Survivor -> its signature of the list of survivors.
    unmasking
        Survivor -> its shares for the sum.
    liars
        Survivors without whose shares the seeds so far came out right.
    """

    agreement: Agreement
    node_keys: Mapping[str, ec.EllipticCurvePublicKey]
    keys: dict[str, RoundKeys] = field(default_factory=dict)
    shares: dict[str, SealedShares] = field(default_factory=dict)
    updates: dict[str, NDArray[np.uint32]] = field(default_factory=dict)
    signatures: dict[str, SignedSurvivors] = field(default_factory=dict)
    unmasking: dict[str, UnmaskingShares] = field(default_factory=dict)
    liars: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Digest of the agreement in hexadecimal."""
        return self.agreement.digest.hex()

    @property
    def survivors(self) -> list[str]:
        """The sites whose updates have arrived."""
        return sorted(self.updates)

    @property
    def lost(self) -> list[str]:
        """The sites that have sent shares and no update."""
        return sorted(self.shares.keys() - self.updates.keys())

    def take_keys(self, site: str, keys: RoundKeys) -> None:
        """Store the keys of a site. Raise `ValueError` if they are unusable or not signed by it."""
        data = keys.signed_bytes(self.agreement.digest, site)
        if not is_signed(self.node_keys[site], keys.signature, KEYS, data):
            raise ValueError("keys without a valid signature of the site")
        for key in (keys.sealing, keys.masking):  # a key of small order would stop the other sites
            shared_secret(X25519PrivateKey.generate(), key)
        self.keys[site] = keys

    def shares_request(self) -> SharesRequest:
        """Return the request of stage 2, which is the same for all sites."""
        return SharesRequest(
            agreement=self.digest,
            peers=[
                PeerKeys(
                    site=site, node_key=key_bytes(self.node_keys[site]).hex(), keys=self.keys[site]
                )
                for site in sorted(self.keys)
            ],
        )

    def take_shares(self, site: str, shares: SealedShares) -> None:
        """Store the sealed shares of a site. Raise `ValueError` if their number is wrong."""
        if len(shares.sealed) != len(self.keys):
            raise ValueError(f"{len(shares.sealed)} shares for {len(self.keys)} sites")
        self.shares[site] = shares

    def training_for(self, site: str, max_update_ratio: float) -> MaskedTraining:
        """Return the part of the training request of a site with the shares sealed for it."""
        place = sorted(self.keys).index(site)
        senders = sorted(self.shares)
        return MaskedTraining(
            agreement=self.digest,
            sites=senders,
            sealed=[self.shares[sender].sealed[place] for sender in senders],
            max_update_ratio=max_update_ratio,
        )

    def survivors_request(self) -> SurvivorsRequest:
        """Return the request of stage 4."""
        return SurvivorsRequest(agreement=self.digest, survivors=self.survivors)

    def take_signature(self, site: str, signed: SignedSurvivors) -> None:
        """Store a signature of the survivors. Raise `ValueError` if it is wrong."""
        data = survivors_bytes(self.agreement.digest, self.survivors)
        if not is_signed(self.node_keys[site], signed.signature, SURVIVORS, data):
            raise ValueError("a wrong signature of the list of survivors")
        self.signatures[site] = signed

    def unmask_request(self) -> UnmaskRequest:
        """Return the request of stage 5."""
        signers = sorted(self.signatures)
        return UnmaskRequest(
            agreement=self.digest,
            signers=signers,
            signatures=[self.signatures[signer].signature for signer in signers],
        )

    def take_unmasking(self, site: str, shares: UnmaskingShares) -> None:
        """Store a survivor's shares for the sum. Raise `ValueError` if their number is wrong."""
        if len(shares.own_masks) != len(self.survivors) or len(shares.masking_keys) != len(
            self.lost
        ):
            raise ValueError(
                f"{len(shares.own_masks)} and {len(shares.masking_keys)} shares for "
                f"{len(self.survivors)} survivors and {len(self.lost)} lost sites"
            )
        self.unmasking[site] = shares

    def unmasked_mean(self) -> NDArray[np.float64]:
        """Return the weighted mean of the survivors' changes, shape (n,).

        Raises
        ------
        SumLost
            If shares are missing or wrong.
        """
        digest = self.agreement.digest
        length = len(next(iter(self.updates.values())))
        total = np.zeros(length, dtype=np.uint32)
        for site in self.survivors:
            total += self.updates[site]
        for place, site in enumerate(self.survivors):
            shares = {each: reply.own_masks[place] for each, reply in self.unmasking.items()}
            total -= mask(self._seed(site, shares, is_own_mask=True), digest, length)
        for place, site in enumerate(self.lost):
            shares = {each: reply.masking_keys[place] for each, reply in self.unmasking.items()}
            key = masking_key(self._seed(site, shares, is_own_mask=False))
            for survivor in self.survivors:
                pair = mask(shared_secret(key, self.keys[survivor].masking), digest, length)
                total -= pair if survivor < site else -pair
        return mean_change(total, sum(self.agreement.factor(site) for site in self.survivors))

    def _seed(self, site: str, shares: Mapping[str, str], *, is_own_mask: bool) -> bytes:
        """Return a seed of a site from the survivors' shares.

        The site's commitment or public key shows whether it is right. If a share is wrong, other
        sets of shares are tried.
        """
        places = {each: place for place, each in enumerate(sorted(self.keys), start=1)}
        threshold = self.agreement.threshold
        for left_out in itertools.islice(self._left_out(shares), MOST_COMBINATIONS):
            chosen = sorted(shares.keys() - left_out)[:threshold]
            seed = combine({places[each]: bytes.fromhex(shares[each]) for each in chosen})
            if self._is_seed_of(site, seed, is_own_mask):
                self.liars = left_out
                return seed
        raise SumLost(
            f"{len(shares)} sites sent shares for the sum; with any {threshold} of them, the "
            f"{'own mask' if is_own_mask else 'masking key'} of site {site} comes out wrong, "
            "because a site sent wrong shares",
            "Find out which site does not run ecgfl as it was installed",
        )

    def _left_out(self, shares: Mapping[str, str]) -> Iterator[frozenset[str]]:
        """Yield sets of survivors whose shares are not used: first the known liars, then few."""
        yield self.liars
        for count in range(len(shares) - self.agreement.threshold + 1):
            for names in itertools.combinations(sorted(shares), count):
                yield frozenset(names)

    def _is_seed_of(self, site: str, seed: bytes, is_own_mask: bool) -> bool:
        keys = self.keys[site]
        if is_own_mask:
            return commitment(seed, self.agreement.digest) == keys.commitment
        return public_hex(masking_key(seed)) == keys.masking
