"""Sites with secure aggregation, as homes and as sides of the protocol alone."""

import json
import secrets
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec
from federation_homes import Homes, set_policy

from ecgfl_cli.federation.secagg.agreement import Agreement, RoundMember, usual_threshold
from ecgfl_cli.federation.secagg.coordinator_side import CoordinatorRound
from ecgfl_cli.federation.secagg.site_side import SiteRound
from ecgfl_cli.site.keys import fingerprint, fingerprint_of


def make_secure(homes: Homes, *names: str) -> None:
    """Let these sites require secure aggregation with each other."""
    prints = {name: fingerprint(homes.site(name).node_public_key) for name in names}
    for name in names:
        peers = json.dumps([each for other, each in prints.items() if other != name])
        set_policy(homes.site(name), f'secagg = "required"\npeers = {peers}')


@dataclass
class Parties:
    """The sides of one round without any transport.

    keys : site -> its private node key. sides : site -> its side.
    """

    keys: dict[str, ec.EllipticCurvePrivateKey]
    agreement: Agreement
    coordinator: CoordinatorRound
    sides: dict[str, SiteRound] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return self.agreement.sites


def parties(count: int, weights: tuple[int, ...] = ()) -> Parties:
    """Return a round of this many sites, which have sent their keys."""
    made = [ec.generate_private_key(ec.SECP384R1()) for _ in range(count)]
    keys = {fingerprint_of(key.public_key()): key for key in made}
    names = sorted(keys)
    agreement = Agreement(
        id=secrets.token_hex(16),
        run="20260101t000000z",
        round=1,
        version="ecgnet-0001-00000000",
        manifest_sha256="0" * 64,
        plan_sha256="1" * 64,
        members=[
            RoundMember(site=name, weight=weights[place] if weights else 1)
            for place, name in enumerate(names)
        ],
        threshold=usual_threshold(count),
    )
    public = {name: key.public_key() for name, key in keys.items()}
    round_parties = Parties(keys, agreement, CoordinatorRound(agreement, public))
    for name in names:
        side = SiteRound(agreement, keys[name], name, names)
        round_parties.sides[name] = side
        round_parties.coordinator.take_keys(name, side.keys)
    return round_parties
