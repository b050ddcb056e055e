"""Store -> beats: the labelled beats of the usable records, cut for a window, and the patients' splits."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.leads import usable_leads
from ecgfl_cli.beats.sample import sample
from ecgfl_cli.beats.window import Window
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import beats_path, load_beats, save_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Split
from ecgfl_cli.store.signals import read_signals
from ecgfl_cli.store.splits import new_splits


@dataclass(frozen=True)
class Segmented:
    """The beats of one record, and whether they were cut just now.

    beats : of the lead that the record is read in. others : what is learned from the other leads and their mixtures.
    """

    row: RecordRow
    split: Split
    beats: Beats
    others: list[Beats]
    cut: bool


def segment(home: Home, catalogue: Catalogue, window: Window) -> Iterator[Segmented]:
    """Give every patient a split and every usable record its beats; what is there already is read, not cut again."""
    rows = catalogue.rows()
    catalogue.assign(new_splits(rows, catalogue.splits()))
    splits = catalogue.splits()
    for row in rows:
        if row.status != "usable":
            continue
        path = beats_path(home.beats, window, row.record)
        leads = load_beats(path)
        cut = leads is None
        if leads is None:
            recording = read_signals(home.records, row.record)
            main, *others = annotated_beats(recording, usable_leads(recording, row.lead), window)
            leads = [main, *(sample(beats, place) for place, beats in enumerate(others, start=1))]
            save_beats(path, leads)
        yield Segmented(row, splits[row.patient], leads[0], leads[1:], cut)
