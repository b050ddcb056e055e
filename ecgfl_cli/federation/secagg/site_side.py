"""One site's side of secure aggregation in one round."""

import hashlib
from collections.abc import Sequence

import numpy as np
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from ecgfl_cli.errors import ModelRejected, PolicyRefused, RequestRefused
from ecgfl_cli.federation.secagg.agreement import Agreement
from ecgfl_cli.federation.secagg.primitives import (
    SEED_BYTES,
    commitment,
    divide,
    is_signed,
    mask,
    masking_key,
    new_seed,
    public_hex,
    seal,
    shared_secret,
    sign,
    unseal,
)
from ecgfl_cli.federation.secagg.ring import quantised
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

KEYS = b"keys"
SURVIVORS = b"survivors"
"""Purposes of signatures."""

LEAVE_ROUND = (
    "Nothing was sent for this stage, and no update was revealed. Tell the coordinator, and join "
    "again for the next run"
)


class SiteRound:
    """One site in one round. Each stage happens at most once, in the order of the methods.

    Parameters
    ----------
    agreement
        The round.
    node_key
        Private node key of the site.
    site
        Fingerprint of its public key.
    pinned
        Fingerprints of the peers that the site's policy names.

    Raises
    ------
    RequestRefused
        If the site is no member of the round.
    PolicyRefused
        If a member is not pinned.
    """

    def __init__(
        self,
        agreement: Agreement,
        node_key: ec.EllipticCurvePrivateKey,
        site: str,
        pinned: Sequence[str],
    ) -> None:
        if site not in agreement.sites:
            raise RequestRefused(
                f"the coordinator began secure aggregation for sites without this one ({site})",
                LEAVE_ROUND,
            )
        unknown = [each for each in agreement.sites if each != site and each not in pinned]
        if unknown:
            raise PolicyRefused(
                f"secure aggregation with {len(unknown)} unknown of {len(agreement.sites)} sites: "
                f"{', '.join(unknown)} not in policy.peers",
                "Ask each of these hospitals by telephone for the SHA-256 of its node key "
                "(`ecgfl doctor` shows it), and add it to policy.peers in site.toml",
            )
        self.agreement = agreement
        self._digest = agreement.digest
        self._node_key = node_key
        self._site = site
        self._sealing = X25519PrivateKey.generate()
        self._own_seed, self._masking_seed = new_seed(), new_seed()
        self._masking = masking_key(self._masking_seed)
        self._peers: dict[str, PeerKeys] = {}
        self._received: dict[str, bytes] = {}
        self._updating: list[str] = []
        self._survivors: list[str] = []
        self._is_masked = self._is_unmasked = False
        self.keys = self._signed_keys()
        """Public keys of the site for this round."""

    def _signed_keys(self) -> RoundKeys:
        keys = RoundKeys(
            sealing=public_hex(self._sealing),
            masking=public_hex(self._masking),
            commitment=commitment(self._own_seed, self._digest),
            signature="00" * 8,
        )
        data = keys.signed_bytes(self._digest, self._site)
        return keys.model_copy(update={"signature": sign(self._node_key, KEYS, data)})

    def shares(self, request: SharesRequest) -> SealedShares:
        """Check the peers' keys, and return a sealed share of both secrets for each of them.

        Raises
        ------
        RequestRefused
            If a key is not signed by its site, or the list is not that of this round.
        """
        if self._peers:
            raise RequestRefused("the coordinator asks for shares of one round twice", LEAVE_ROUND)
        sites = [peer.site for peer in request.peers]
        self._require_subset(sites, self.agreement.sites, "the sites with keys")
        peers = {peer.site: peer for peer in request.peers}
        if peers[self._site].keys != self.keys:
            raise RequestRefused(
                "the coordinator forwards other keys as those of this site", LEAVE_ROUND
            )
        for peer in request.peers:
            self._check_keys(peer)
        self._peers = peers
        threshold = self.agreement.threshold
        own = divide(self._own_seed, threshold, len(sites))
        masking = divide(self._masking_seed, threshold, len(sites))
        sealed = [
            self._seal(peer, own_share + masking_share)
            for peer, own_share, masking_share in zip(sites, own, masking, strict=True)
        ]
        return SealedShares(sealed=sealed)

    def masked(
        self, training: MaskedTraining, change: NDArray[np.float64], start: NDArray[np.float32]
    ) -> NDArray[np.uint32]:
        """Return a change of the weights with all masks, shape (n,).

        Parameters
        ----------
        training
            The coordinator's part of the request; `open_shares` has accepted it.
        change
            Trained minus global weights, shape (n,).
        start
            Global weights, shape (n,).

        Raises
        ------
        RequestRefused
            If the update of this round was masked before: the difference of two updates with the
            same masks would be readable.
        ModelRejected
            If the change is not finite or too large.
        """
        if self._is_masked or not self._updating:
            raise RequestRefused(
                "the coordinator asks for an update of one round twice", LEAVE_ROUND
            )
        norm, usual = float(np.linalg.norm(change)), float(np.linalg.norm(start))
        if usual and norm > training.max_update_ratio * usual:
            raise ModelRejected(
                f"the training has made an update of norm {norm:.3g}, more than "
                f"{training.max_update_ratio:g} times that of the global weights, {usual:.3g}; "
                "nothing was sent",
                "Check the labels of recently ingested recordings, and tell the coordinator",
            )
        factor = self.agreement.factor(self._site)
        total = quantised(change, factor, len(self.agreement.sites))
        self._is_masked = True
        total += mask(self._own_seed, self._digest, len(total))
        for peer in self._updating:
            if peer == self._site:
                continue
            secret = self._secret_with(peer, self._masking, self._peers[peer].keys.masking)
            pair = mask(secret, self._digest, len(total))
            total += pair if self._site < peer else -pair
        return total

    def open_shares(self, training: MaskedTraining) -> None:
        """Decrypt the peers' shares, before the training.

        Raises
        ------
        RequestRefused
            If a share does not decrypt, or the list of sites is not that of this round.
        """
        if not self._peers or self._updating:
            raise RequestRefused("the coordinator forwards shares of one round twice", LEAVE_ROUND)
        self._require_subset(training.sites, list(self._peers), "the sites with shares")
        if len(training.sealed) != len(training.sites):
            raise RequestRefused(
                f"{len(training.sealed)} shares of {len(training.sites)} sites", LEAVE_ROUND
            )
        for peer, sealed in zip(training.sites, training.sealed, strict=True):
            self._received[peer] = self._unseal(peer, bytes.fromhex(sealed))
        self._updating = training.sites

    def survivors(self, request: SurvivorsRequest) -> SignedSurvivors:
        """Sign the list of the sites whose updates have arrived.

        Raises
        ------
        RequestRefused
            If the list is not one of this round, or another list was signed.
        """
        if not self._is_masked or self._survivors:
            raise RequestRefused(
                "the coordinator names the survivors of one round twice", LEAVE_ROUND
            )
        self._require_subset(request.survivors, self._updating, "the survivors")
        self._survivors = request.survivors
        data = survivors_bytes(self._digest, self._survivors)
        return SignedSurvivors(signature=sign(self._node_key, SURVIVORS, data))

    def unmask(self, request: UnmaskRequest) -> UnmaskingShares:
        """Return the shares that unmask the sum of the survivors' updates.

        For each site, the shares of one of its two secrets are returned and never of both: both
        lists follow from the list that was signed in the stage before.

        Raises
        ------
        RequestRefused
            If fewer than `threshold` survivors have signed the list, or for a second unmasking.
        """
        if not self._survivors or self._is_unmasked:
            raise RequestRefused("the coordinator asks to unmask one round twice", LEAVE_ROUND)
        self._require_part(request.signers, self._survivors, "the signers")
        if len(request.signers) != len(request.signatures):
            raise RequestRefused(
                f"{len(request.signatures)} signatures of {len(request.signers)} sites", LEAVE_ROUND
            )
        data = survivors_bytes(self._digest, self._survivors)
        for signer, signature in zip(request.signers, request.signatures, strict=True):
            if not is_signed(self._node_key_of(self._peers[signer]), signature, SURVIVORS, data):
                raise RequestRefused(
                    f"the signature of site {signer} is not on the list of survivors that this "
                    "site has signed",
                    LEAVE_ROUND,
                )
        self._is_unmasked = True
        lost = [site for site in self._updating if site not in self._survivors]
        return UnmaskingShares(
            own_masks=[self._received[site][:SEED_BYTES].hex() for site in self._survivors],
            masking_keys=[self._received[site][SEED_BYTES:].hex() for site in lost],
        )

    def _require_subset(self, sites: Sequence[str], of: Sequence[str], what: str) -> None:
        """Check a list of sites like `_require_part`, and that this site is in it."""
        self._require_part(sites, of, what)
        if self._site not in sites:
            raise RequestRefused(f"{what} do not include this site", LEAVE_ROUND)

    def _require_part(self, sites: Sequence[str], of: Sequence[str], what: str) -> None:
        """Check that a list of sites is sorted, part of another list, and long enough."""
        threshold = self.agreement.threshold
        if list(sites) != sorted(set(sites) & set(of)):
            raise RequestRefused(
                f"{what} are not a sorted part of the sites of the stage before", LEAVE_ROUND
            )
        if len(sites) < threshold:
            raise RequestRefused(
                f"{what} are {len(sites)}; this round needs at least {threshold}", LEAVE_ROUND
            )

    def _check_keys(self, peer: PeerKeys) -> None:
        node_key = self._node_key_of(peer)
        data = peer.keys.signed_bytes(self._digest, peer.site)
        if not is_signed(node_key, peer.keys.signature, KEYS, data):
            raise RequestRefused(
                f"the keys of site {peer.site} are not signed by it for this model and round: the "
                "coordinator has changed them, or sends other models to other sites",
                LEAVE_ROUND,
            )

    def _node_key_of(self, peer: PeerKeys) -> ec.EllipticCurvePublicKey:
        data = bytes.fromhex(peer.node_key)
        if hashlib.sha256(data).hexdigest() != peer.site:
            raise RequestRefused(
                f"the node key of site {peer.site} is not the one with this SHA-256", LEAVE_ROUND
            )
        try:
            key = serialization.load_der_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise RequestRefused(
                f"the node key of site {peer.site}: {error}", LEAVE_ROUND
            ) from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise RequestRefused(f"the node key of site {peer.site} is no ECDSA key", LEAVE_ROUND)
        return key

    def _secret_with(self, peer: str, own: X25519PrivateKey, public: str) -> bytes:
        try:
            return shared_secret(own, public)
        except ValueError as error:
            raise RequestRefused(
                f"a key of site {peer} is not usable: {error}", LEAVE_ROUND
            ) from error

    def _seal(self, peer: str, plaintext: bytes) -> str:
        secret = self._secret_with(peer, self._sealing, self._peers[peer].keys.sealing)
        return seal(secret, self._binding(self._site, peer), plaintext).hex()

    def _unseal(self, peer: str, sealed: bytes) -> bytes:
        secret = self._secret_with(peer, self._sealing, self._peers[peer].keys.sealing)
        try:
            return unseal(secret, self._binding(peer, self._site), sealed)
        except InvalidTag as error:
            raise RequestRefused(
                f"the share of site {peer} does not decrypt: that site or the coordinator has "
                "changed it",
                LEAVE_ROUND,
            ) from error

    def _binding(self, sender: str, recipient: str) -> bytes:
        return self._digest + f"{sender} {recipient}".encode()


def survivors_bytes(agreement: bytes, survivors: Sequence[str]) -> bytes:
    """Return what a survivor signs: the digest of the agreement and the sorted survivors."""
    return agreement + " ".join(survivors).encode()
