"""The sites of a simulation: shares of this site's patients, or one folder of recordings each."""

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
    """A home with its own catalogue. Signals and beats are in the home whose patients were dealt.

    Attributes
    ----------
    store
        The home whose patients were dealt.
    """

    store: Home

    @property
    def records(self) -> Path:
        """Folder of the signals."""
        return self.store.records

    @property
    def beats(self) -> Path:
        """Folder of the beat files."""
        return self.store.beats


@dataclass(frozen=True)
class VirtualSite:
    """A virtual site.

    Attributes
    ----------
    name
        Name of the site.
    home
        Home of the site.
    recordings
        Number of usable recordings.
    train_patients, held_out_patients
        Number of patients to train on, and of held-out patients.
    train_pvcs
        Number of PVCs of the patients to train on.
    """

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
    """Create virtual sites, each with its share of the patients of a home.

    Parameters
    ----------
    store
        The home. All of its patients have been assigned to a split.
    sites
        Number of sites.
    seed
        Seed for the assignment of patients to sites.
    folder
        Folder for the homes of the sites.

    Raises
    ------
    UnusableInput
        If there are fewer patients to train on than sites.
    """
    with open_catalogue(store.catalogue) as catalogue:
        rows, splits = (
            [row for row in catalogue.rows() if row.status == "usable"],
            catalogue.splits(),
        )
    patients = len({row.patient for row in rows if splits[row.patient] == "train"})
    if patients < sites:
        raise UnusableInput(
            f"{store.root}: {patients} patients to train on are too few for {sites} sites",
            "Ingest more labelled recordings, or give a smaller number of --sites",
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
    """Return patient -> index of the site.

    Patients to train on, patients held out, and in each split those with and without PVCs are dealt
    one by one. So the sites have the same number of each, to within one. The splits stay the same.

    Parameters
    ----------
    rows
        The usable recordings.
    splits
        Patient -> split.
    sites
        Number of sites.
    seed
        Seed for the order of the patients.
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
    """Return a virtual site with the numbers from its catalogue. Every patient has a split."""
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
