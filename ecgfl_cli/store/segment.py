"""Store -> beats: the labelled beats of the usable records, cut for a window, and the patients' splits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ecgfl_cli.beats.annotated import annotated_part
from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.leads import usable_leads
from ecgfl_cli.beats.sample import sample
from ecgfl_cli.beats.window import Window
from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.files import remove_unfinished
from ecgfl_cli.processes import each_in_a_process
from ecgfl_cli.quality.rhythm import rhythm_beats
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import are_whole, beats_path, load_beats, load_learned, save_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Split
from ecgfl_cli.store.signals import read_signals
from ecgfl_cli.store.splits import new_splits

Found = TypeVar("Found")


@dataclass(frozen=True)
class Segmented:
    """A record whose beats are cut. path : where they are; they are read when they are asked for. cut : whether just now."""

    row: RecordRow
    split: Split
    path: Path
    cut: bool

    def beats(self) -> Beats:
        """All of the lead that the record is read in."""
        return self._whole(load_beats(self.path))

    def learned(self) -> list[Beats]:
        """What is learned from it: a sample of the beats of each lead and of their mixtures."""
        return self._whole(load_learned(self.path))

    def _whole(self, found: Found | None) -> Found:
        if found is None:
            raise UnusableInput(
                f"{self.path}: damaged", "Remove the file and run it again: the beats are cut anew"
            )
        return found


def segment(home: Home, catalogue: Catalogue, window: Window, jobs: int = 1) -> Iterator[Segmented]:
    """Give every patient a split and every usable record its beats; what is there already is not cut again.

    Raises `AdapterError` for a record whose signals are damaged, and `UnusableInput` for one that cannot be cut.
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
    lost = each_in_a_process(partial(_cut, home=home, window=window), missing, jobs)
    cut = {row.record for row in missing}
    for row in usable:
        path = beats_path(home.beats, window, row.record)
        reason = next(lost) if row.record in cut else None
        if reason is not None:
            raise UnusableInput(
                f"{home.records / row.record}: its beats cannot be cut: {reason.reason}",
                "Run it again, with fewer --jobs where memory is short; if that does not help, ingest the recording again",
            )
        yield Segmented(row, splits[row.patient], path, row.record in cut)


def _cut(row: RecordRow, home: Home, window: Window) -> None:
    """Read a record and keep the beats of its annotated part."""
    recording = read_signals(home.records, row.record)
    recording = annotated_part(recording, rhythm_beats(recording, row.lead))
    main, *others = annotated_beats(recording, usable_leads(recording, row.lead), window)
    save_beats(
        beats_path(home.beats, window, row.record),
        main,
        [sample(beats, place) for place, beats in enumerate((main, *others))],
    )
