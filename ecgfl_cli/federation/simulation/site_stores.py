"""The stores of virtual sites, made of the patients of one site or of folders of recordings."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecgfl_cli.beats.window import Window
from ecgfl_cli.federation.simulation.virtual_sites import VirtualSite, deal, virtual_site
from ecgfl_cli.printable import printable
from ecgfl_cli.processes import Track, begin_loading, untracked
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.keys import make_keys
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.catalogue import open_catalogue
from ecgfl_cli.store.ingest import Ingested, ingest
from ecgfl_cli.store.reading import Reading
from ecgfl_cli.store.segment import Segmented, segment
from ecgfl_cli.training.dataset import require_training_data


@dataclass(frozen=True)
class SourceFolder:
    """A folder whose recordings become one virtual site.

    Attributes
    ----------
    path
        The folder.
    recordings
        One path for each recording.
    reading
        How they are read.
    """

    path: Path
    recordings: list[Path]
    reading: Reading


@contextmanager
def sites_of_home(
    home: Home,
    sites: int,
    seed: int,
    folder: Path,
    window: Window,
    jobs: int = 1,
    track: Track[Segmented] = untracked,
) -> Iterator[tuple[list[VirtualSite], int]]:
    """Distribute the patients of a site over virtual sites.

    Parameters
    ----------
    home
        The site's home; it is locked until the block ends.
    sites
        Number of virtual sites.
    seed
        Decides which patient belongs to which site.
    folder
        Where the catalogues of the virtual sites are written.
    window
        What the network sees of a beat.
    jobs
        Number of processes.
    track
        Shows the progress of cutting the beats.

    Yields
    ------
    sites : list of VirtualSite
        The virtual sites.
    cut : int
        Number of recordings whose beats were cut into the home.

    Raises
    ------
    HomeInUse
        Another ecgfl uses the home.
    UnusableInput
        There are too few recordings or patients to train on.
    """
    home.require_site()
    begin_loading(WORKER_MODULES)
    with exclusive(home.lock):
        require_training_data(home)
        cut = _cut(home, window, jobs, track)
        yield deal(home, sites, seed, folder), cut


def site_of_folder(
    source: SourceFolder,
    root: Path,
    window: Window,
    jobs: int = 1,
    track_ingest: Track[Ingested] = untracked,
    track_segment: Track[Segmented] = untracked,
    unreadable: Callable[[str], None] = lambda reason: None,  # noqa: ARG005
) -> VirtualSite:
    """Ingest the recordings of a folder into a new store, and return it as a virtual site.

    Parameters
    ----------
    source
        The folder.
    root
        Home of the virtual site, which must not exist.
    window
        What the network sees of a beat.
    jobs
        Number of processes.
    track_ingest, track_segment
        Show the progress.
    unreadable
        Called with the reason for each recording that cannot be read.

    Raises
    ------
    UnusableInput
        The folder has no recording to train on.
    """
    begin_loading(WORKER_MODULES)
    home = Home(root)
    root.mkdir()
    make_keys(home)
    with open_catalogue(home.catalogue) as catalogue:
        work = ingest(source.recordings, source.reading, home, catalogue, jobs)
        for result in track_ingest(work, len(source.recordings)):
            if result.error is not None:
                unreadable(result.error)
    require_training_data(home)
    _cut(home, window, jobs, track_segment)
    return virtual_site(f"{root.name} {printable(source.path.name)}", home)


def _cut(home: Home, window: Window, jobs: int, track: Track[Segmented]) -> int:
    """Split the patients and cut the missing beats; return the number of records cut."""
    with open_catalogue(home.catalogue) as catalogue:
        usable = sum(row.status == "usable" for row in catalogue.rows())
        return sum(item.cut for item in track(segment(home, catalogue, window, jobs), usable))
