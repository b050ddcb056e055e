"""What the sites of a round agree on before they exchange keys."""

import hashlib
import json
from typing import Annotated, Self

from pydantic import Field, model_validator

from ecgfl_cli.models.manifest import LARGEST_NUMBER, Name, Sha256
from ecgfl_cli.schemas import StrictModel

FEWEST_MEMBERS = 3
"""Smallest number of sites. Of two, each could subtract its own update from the sum."""

MOST_MEMBERS = 100
"""Largest number of sites. The complete graph has a share for each pair of sites."""

LARGEST_WEIGHT = 3
"""Largest weight of a site in the mean; the smallest is 1. If one site had by far the largest
weight, the sum would be little else than its update."""


def usual_threshold(members: int) -> int:
    """Return the smallest threshold for a number of sites: more than two thirds of them.

    With it, two lists of survivors cannot both get enough signatures unless a third of the sites
    sign both, which an honest site does not do (Bonawitz et al., CCS 2017, section 6).
    """
    return 2 * members // 3 + 1


class RoundMember(StrictModel):
    """A site of the round.

    Attributes
    ----------
    site
        SHA-256 of its public node key, in hexadecimal.
    weight
        Its weight in the mean, which the coordinator has set for the site. It does not depend on
        the site's data, because the sum would reveal numbers of beats.
    """

    site: Sha256
    weight: Annotated[int, Field(ge=1, le=LARGEST_WEIGHT)] = 1


class Agreement(StrictModel):
    """The round on which sites exchange keys. Each signs its keys together with all of it.

    Attributes
    ----------
    id
        Random number of this attempt, in hexadecimal.
    run, round
        The run, and the number of the round in it, from 1.
    version
        Version of the model from which the sites train.
    manifest_sha256
        SHA-256 of the manifest of this model. If the coordinator sent other models to other sites,
        their masks would not cancel (Pasquini et al., "Eluding Secure Aggregation in Federated
        Learning via Model Inconsistency", CCS 2022).
    plan_sha256
        SHA-256 of the settings of the training.
    members
        The sites, sorted by fingerprint.
    threshold
        Number of sites that must take part in every stage.
    """

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    run: Name
    round: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
    version: Name
    manifest_sha256: Sha256
    plan_sha256: Sha256
    members: Annotated[list[RoundMember], Field(min_length=FEWEST_MEMBERS, max_length=MOST_MEMBERS)]
    threshold: int

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        sites = self.sites
        if sites != sorted(set(sites)):
            raise ValueError("members: a site is named twice, or they are not sorted")
        lowest = usual_threshold(len(sites))
        if not lowest <= self.threshold <= len(sites):
            raise ValueError(
                f"threshold {self.threshold} for {len(sites)} sites; {lowest} to {len(sites)} are"
                " allowed"
            )
        return self

    @property
    def sites(self) -> list[str]:
        """Fingerprints of the members, in their order."""
        return [member.site for member in self.members]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the agreement, 32 bytes."""
        text = json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).digest()

    def factor(self, site: str) -> float:
        """Return the weight of a member as a share of the largest weight, from 0 to 1."""
        weights = {member.site: member.weight for member in self.members}
        return weights[site] / max(weights.values())
