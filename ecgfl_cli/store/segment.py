"""Store -> beats: the labelled beats of the usable records, cut for a window, and the patients' splits."""

from collections.abc import Iterator
from dataclasses import dataclass

from ecgfl_cli.beats.beats import Beats, annotated_beats
from ecgfl_cli.beats.leads import choose_lead
from ecgfl_cli.beats.window import Window
from ecgfl_cli.site.home import Home
from ecgfl_cli.store.beat_files import beats_path, load_beats, save_beats
from ecgfl_cli.store.catalogue import Catalogue, RecordRow, Split
from ecgfl_cli.store.signals import read_signals
from ecgfl_cli.store.splits import new_splits


@dataclass(frozen=True)
class Segmented:
    """The beats of one record, and whether they were cut just now."""

    row: RecordRow
    split: Split
    beats: Beats
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
        beats = load_beats(path)
        cut = beats is None
        if beats is None:
            recording = read_signals(home.records, row.record)
            beats = annotated_beats(recording, choose_lead(recording, row.lead), window)
            save_beats(path, beats)
        yield Segmented(row, splits[row.patient], beats, cut)
