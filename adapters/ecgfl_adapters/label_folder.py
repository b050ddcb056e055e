"""A folder with the label files of many recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecgfl_adapters.discovery import record_stem, subfolder
from ecgfl_adapters.errors import LabelsUnreadable
from ecgfl_adapters.file_names import safe_name
from ecgfl_adapters.labels import ANNOTATORS, label_files


@dataclass(frozen=True)
class LabelFolder:
    """A folder with the label files of many recordings; make it with `label_folder`.

    The labels of a recording are in the same subfolder as the recording, or else in the folder
    itself.

    Parameters
    ----------
    root : Path
        The folder of labels.
    named : tuple of Path
        The files and folders in which the recordings were found.
    shared : mapping
        For each name that several recordings have, in lower case: their subfolders.
    annotators : tuple of str
        Annotators whose files are searched.
    """

    root: Path
    named: tuple[Path, ...] = ()
    shared: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    annotators: tuple[str, ...] = ANNOTATORS

    def files_of(self, recording: Path) -> list[Path]:
        """Return the label files of a recording; none where the folder holds none for it.

        Raises `LabelsUnreadable` when they may as well belong to another recording of this name.
        """
        stem, below = record_stem(recording), subfolder(recording, self.named)
        subfolders = self.shared.get(stem.name.casefold(), (below,))
        files = label_files(self.root / below / stem.name, self.annotators)
        if not files:  # `predict --out` makes folder names safe
            files = label_files(
                self.root.joinpath(*map(safe_name, below.parts), stem.name), self.annotators
            )
        if not files and (Path() not in subfolders or below == Path()):
            below = Path()
            files = label_files(self.root / stem.name, self.annotators)
            subfolders = [below] * len(subfolders)
        if files and subfolders.count(below) > 1:
            raise LabelsUnreadable(
                recording,
                f"{len(subfolders)} recordings have this name, and nothing shows whose labels "
                f"{files[0]} holds",
                "Name the folder that holds all recordings, and put the labels into subfolders "
                "like those of the recordings",
            )
        return files

    def option_for(self, recording: Path) -> str:
        """Return `ReadOptions.labels` for a recording: the folder of its label files, or "none".

        Raises `LabelsUnreadable`.
        """
        files = self.files_of(recording)
        return str(files[0].parent.absolute()) if files else "none"


def label_folder(
    root: Path,
    recordings: Sequence[Path],
    named: Sequence[Path],
    annotators: tuple[str, ...] = ANNOTATORS,
) -> LabelFolder:
    """Return the folder of labels for recordings that were found in `named`; see `LabelFolder`."""
    subfolders: dict[str, list[Path]] = {}
    for path in recordings:
        subfolders.setdefault(record_stem(path).name.casefold(), []).append(subfolder(path, named))
    shared = {name: places for name, places in subfolders.items() if len(places) > 1}
    return LabelFolder(root, tuple(named), shared, annotators)
