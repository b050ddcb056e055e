"""Cut the labelled beats of the usable records, and assign the patients' splits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ecgfl_cli.beats.aami import BeatClass
from ecgfl_cli.beats.annotated import annotated_part
from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.leads import usable_leads
from ecgfl_cli.beats.sample import sample
from ecgfl_cli.beats.window import Window
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import remove_unfinished
from ecgfl_cli.processes import Track, begin_loading, each_in_a_process, untracked
from ecgfl_cli.quality.rhythm import rhythm_beats
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.site.lock import exclusive
from ecgfl_cli.store import WORKER_MODULES
from ecgfl_cli.store.beat_files import are_whole, beats_path, load_beats, load_learned, save_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Split, open_catalogue
from ecgfl_cli.store.signals import read_signals
from ecgfl_cli.store.splits import new_splits

Content = TypeVar("Content")


@dataclass(frozen=True)
class Segmented:
    """A record whose beats are cut.

    Attributes
    ----------
    row : RecordRow
        The record.
    split : {"train", "held-out"}
        Split of its patient.
    path : Path
        File of the beats, which is read on demand.
    cut : bool
        Whether they were cut in this run.
    """

    row: RecordRow
    split: Split
    path: Path
    cut: bool

    def beats(self) -> Beats:
        """Return all beats of the lead that the record is read in."""
        return self._whole(load_beats(self.path))

    def learned(self) -> list[Beats]:
        """Return the beats to train on: a sample of each lead and of the mixed leads."""
        return self._whole(load_learned(self.path))

    def _whole(self, content: Content | None) -> Content:
        if content is None:
            raise UnusableInput(
                f"{self.path}: damaged", "Remove the file and run it again; the beats are cut again"
            )
        return content


@dataclass(frozen=True)
class SegmentedRecord:
    """A segmented record and the number of its beats.

    Attributes
    ----------
    row : RecordRow
        The record.
    split : {"train", "held-out"}
        Split of its patient.
    cut : bool
        Whether the beats were cut in this run.
    beats : dict of str to int
        Class -> number of its beats, in the order of `BeatClass`.
    unreadable : int
        Number of beats that lie in an unreadable stretch.
    """

    row: RecordRow
    split: Split
    cut: bool
    beats: dict[str, int]
    unreadable: int


def segment_store(
    home: Home, window: Window, jobs: int = 1, track: Track[SegmentedRecord] = untracked
) -> list[SegmentedRecord]:
    """Cut the missing beats of a site's store and count all of them.

    Parameters
    ----------
    home : Home
        The site's home; it is locked meanwhile.
    window : Window
        What a model sees of a beat.
    jobs : int
        Number of processes.
    track : Track
        Shows the progress.

    Returns
    -------
    list of SegmentedRecord
        The usable records, in the order of the catalogue.

    Raises
    ------
    HomeInUse
        Another ecgfl uses the home.
    AdapterError
        The signals of a record are damaged.
    UnusableInput
        The beats of a record cannot be cut.
    """
    begin_loading(WORKER_MODULES)
    with exclusive(home.lock), open_catalogue(home.catalogue) as catalogue:
        usable = sum(row.status == "usable" for row in catalogue.rows())
        work = map(_counted, segment(home, catalogue, window, jobs))
        return list(track(work, usable))


def _counted(item: Segmented) -> SegmentedRecord:
    beats = item.beats()
    return SegmentedRecord(
        row=item.row,
        split=item.split,
        cut=item.cut,
        beats={kind.name: int((beats.classes == kind).sum()) for kind in BeatClass},
        unreadable=int((~beats.readable).sum()),
    )


def segment(home: Home, catalogue: Catalogue, window: Window, jobs: int = 1) -> Iterator[Segmented]:
    """Assign splits to new patients and cut missing beats; yield every usable record.

    Parameters
    ----------
    home : Home
        The site's home.
    catalogue : Catalogue
        Its catalogue.
    window : Window
        What a model sees of a beat.
    jobs : int
        Largest number of worker processes.

    Raises
    ------
    AdapterError
        The signals of a record are damaged.
    UnusableInput
        The beats of a record cannot be cut.
    """
    AuditLog(home.audit).require_whole()
    rows = catalogue.rows()
    if new := new_splits(rows, catalogue.splits()):
        with AuditLog(home.audit).change("split", patients=dict(Counter(new.values()))):
            catalogue.assign(new)
    splits = catalogue.splits()
    usable = [row for row in rows if row.status == "usable"]
    missing = [row for row in usable if not are_whole(beats_path(home.beats, window, row.record))]
    remove_unfinished(beats_path(home.beats, window, "").parent)
    results = each_in_a_process(partial(_cut, home=home, window=window), missing, jobs)
    cut = {row.record for row in missing}
    for row in usable:
        path = beats_path(home.beats, window, row.record)
        lost = next(results) if row.record in cut else None
        if lost is not None:
            raise UnusableInput(
                f"{home.records / row.record}: its beats cannot be cut: {lost.reason}",
                "Run it again, with fewer --jobs if memory is short; if that does not help, "
                "ingest the recording again",
            )
        yield Segmented(row, splits[row.patient], path, row.record in cut)


def _cut(row: RecordRow, home: Home, window: Window) -> None:
    """Cut and store the beats of the annotated part of a record."""
    recording = read_signals(home.records, row.record)
    recording = annotated_part(recording, rhythm_beats(recording, row.lead))
    main, *others = annotated_beats(recording, usable_leads(recording, row.lead), window)
    save_beats(
        beats_path(home.beats, window, row.record),
        main,
        [sample(beats, index) for index, beats in enumerate((main, *others))],
    )
