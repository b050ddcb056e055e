"""Schemas of the messages of secure aggregation, apart from the training itself.

Keys, shares and signatures are in hexadecimal. Lists follow the order of the sites that the text
names; a reply has one JSON text, `REPLY`.
"""

from typing import Annotated

from pydantic import Field

from ecgfl_cli.federation.secagg.agreement import MOST_MEMBERS, Agreement
from ecgfl_cli.models.manifest import Sha256
from ecgfl_cli.schemas import StrictModel

REPLY = "ecgfl-secagg"
"""Name of the text of a reply that has the JSON of a stage's reply."""

LARGEST_REPLY = 64 * 1024
"""Largest reply of a stage, in characters."""

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Signature = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){8,110}$")]
NodeKey = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){60,200}$")]
Sealed = Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")]
Share = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sites = Annotated[list[Sha256], Field(max_length=MOST_MEMBERS)]


class KeysRequest(StrictModel):
    """Stage 1: asks a site for its keys of a round."""

    agreement: Agreement


class RoundKeys(StrictModel):
    """A site's public keys of a round.

    Attributes
    ----------
    sealing
        X25519 key, for sealing shares.
    masking
        X25519 key, for the masks of pairs.
    commitment
        Commitment to the seed of the site's own mask; see `primitives.commitment`.
    signature
        Signature of the node key over these keys and the agreement.
    """

    sealing: Key
    masking: Key
    commitment: Sha256
    signature: Signature

    def signed_bytes(self, agreement: bytes, site: str) -> bytes:
        """Return what the signature covers.

        Parameters
        ----------
        agreement
            Digest of the agreement.
        site
            Fingerprint of the site.
        """
        return agreement + f"{site} {self.sealing} {self.masking} {self.commitment}".encode()


class PeerKeys(StrictModel):
    """The keys of one site, as the coordinator forwards them.

    Attributes
    ----------
    site
        Fingerprint of the site.
    node_key
        Its public node key as DER.
    keys
        Its keys of the round.
    """

    site: Sha256
    node_key: NodeKey
    keys: RoundKeys


class SharesRequest(StrictModel):
    """Stage 2: names the sites that have sent keys, and asks for shares for them.

    Attributes
    ----------
    agreement
        Digest of the agreement.
    peers
        The sites with keys, sorted by fingerprint, including the recipient.
    """

    agreement: Sha256
    peers: Annotated[list[PeerKeys], Field(max_length=MOST_MEMBERS)]


class SealedShares(StrictModel):
    """A site's shares, each sealed for one site, in the order of `SharesRequest.peers`."""

    sealed: Annotated[list[Sealed], Field(max_length=MOST_MEMBERS)]


class MaskedTraining(StrictModel):
    """Stage 3: part of a request to train whose update is masked.

    Attributes
    ----------
    agreement
        Digest of the agreement.
    sites
        The sites that have sent shares, sorted by fingerprint.
    sealed
        The share of each of them that is sealed for the recipient.
    max_update_ratio
        Largest norm of the update, as a multiple of the norm of the global weights.
    """

    agreement: Sha256
    sites: Sites
    sealed: Annotated[list[Sealed], Field(max_length=MOST_MEMBERS)]
    max_update_ratio: Annotated[float, Field(ge=1)]


class SurvivorsRequest(StrictModel):
    """Stage 4: names the sites whose masked updates have arrived, sorted by fingerprint."""

    agreement: Sha256
    survivors: Sites


class SignedSurvivors(StrictModel):
    """A survivor's signature of the list of survivors."""

    signature: Signature


class UnmaskRequest(StrictModel):
    """Stage 5: asks for the shares that unmask the sum.

    Attributes
    ----------
    agreement
        Digest of the agreement.
    signers
        Survivors that have signed, sorted by fingerprint.
    signatures
        Their signatures of the list of survivors.
    """

    agreement: Sha256
    signers: Sites
    signatures: Annotated[list[Signature], Field(max_length=MOST_MEMBERS)]


class UnmaskingShares(StrictModel):
    """A site's shares for the sum.

    Attributes
    ----------
    own_masks
        Shares of the survivors' own masks, in the order of the survivors.
    masking_keys
        Shares of the secret masking keys of the lost sites: those that sent shares and no update,
        sorted by fingerprint.
    """

    own_masks: Annotated[list[Share], Field(max_length=MOST_MEMBERS)]
    masking_keys: Annotated[list[Share], Field(max_length=MOST_MEMBERS)]
