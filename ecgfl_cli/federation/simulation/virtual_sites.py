"""The sites of a simulation: this site's own patients dealt out, or one folder of recordings each."""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.catalogue import RecordRow, Split, open_catalogue


@dataclass(frozen=True)
class DealtHome(Home):
    """A home of which the catalogue alone is its own: signals and beats are in the store that its patients were dealt from."""

    store: Home

    @property
    def records(self) -> Path:
        return self.store.records

    @property
    def beats(self) -> Path:
        return self.store.beats


@dataclass(frozen=True)
class VirtualSite:
    """recordings, train_pvcs : usable ones, and PVCs among those that are trained on. The rest are numbers of patients."""

    name: str
    home: Home
    recordings: int
    train_patients: int
    held_out_patients: int
    train_pvcs: int

    @property
    def fingerprint(self) -> str:
        """Fingerprint for requests; a virtual site has no key."""
        return fingerprint_of_virtual_site(self.name)


def fingerprint_of_virtual_site(name: str) -> str:
    """SHA-256 of a virtual site's name, in hexadecimal."""
    return hashlib.sha256(name.encode()).hexdigest()


def deal(store: Home, sites: int, seed: int, folder: Path) -> list[VirtualSite]:
    """Virtual sites below `folder`, each with its share of the store's patients; all of them have their split already.

    Raises `UnusableInput` where there are fewer patients to train on than sites.
    """
    with open_catalogue(store.catalogue) as catalogue:
        rows, splits = (
            [row for row in catalogue.rows() if row.status == "usable"],
            catalogue.splits(),
        )
    there = len({row.patient for row in rows if splits[row.patient] == "train"})
    if there < sites:
        raise UnusableInput(
            f"{store.root}: {there} patients to train on cannot be dealt to {sites} sites",
            "Ingest more labelled recordings, or ask for fewer --sites",
        )
    places = deal_patients(rows, splits, sites, seed)
    made = []
    for place in range(sites):
        home = DealtHome(folder / f"site-{place + 1}", store)
        home.root.mkdir(parents=True)
        dealt = [row for row in rows if places[row.patient] == place]
        with open_catalogue(home.catalogue) as catalogue:
            for row in dealt:
                catalogue.put(row, [])
            catalogue.assign({row.patient: splits[row.patient] for row in dealt})
        made.append(virtual_site(home.root.name, home))
    return made


def deal_patients(
    rows: Iterable[RecordRow], splits: dict[str, Split], sites: int, seed: int
) -> dict[str, int]:
    """Patient -> place of the site, from 0 on.

    Patients to train on and held-out ones are dealt one by one, those with PVCs before those without: the sites have the same
    number of each to within one. The seed decides who goes where; nobody changes the split.
    """
    with_pvcs = {row.patient for row in rows if row.counts.get("V", 0)}
    patients = sorted({row.patient for row in rows})
    random.Random(seed).shuffle(patients)
    patients.sort(key=lambda patient: patient not in with_pvcs)
    places: dict[str, int] = {}
    for split in ("train", "held-out"):
        for number, patient in enumerate(
            patient for patient in patients if splits[patient] == split
        ):
            places[patient] = number % sites
    return places


def virtual_site(name: str, home: Home) -> VirtualSite:
    """A site as its catalogue shows it; every patient has a split."""
    with open_catalogue(home.catalogue) as catalogue:
        rows, splits = (
            [row for row in catalogue.rows() if row.status == "usable"],
            catalogue.splits(),
        )
    train = [row for row in rows if splits[row.patient] == "train"]
    patients, trained_on = {row.patient for row in rows}, {row.patient for row in train}
    return VirtualSite(
        name,
        home,
        len(rows),
        len(trained_on),
        len(patients - trained_on),
        sum(row.counts.get("V", 0) for row in train),
    )
