"""Where the results of each recording go, and what must not be overwritten there."""

from collections.abc import Sequence
from pathlib import Path

from ecgfl_adapters.discovery import record_stem
from ecgfl_adapters.errors import AdapterError
from ecgfl_adapters.label_origin import ANNOTATOR, ORIGIN_SUFFIX, origin_of, origin_text
from ecgfl_adapters.labels import read_labels

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction, file_name


def output_folders(recordings: Sequence[Path], named: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder for the results of each recording: `out`, with the subfolders of a folder that was named.

    Parameters
    ----------
    recordings : one path for each recording, as `find_recordings` found them in `named`.
    named : the files and folders of the command line.

    Raises
    ------
    UsageError
        When two recordings would write the same files. Upper and lower case are the same, as on Windows and macOS.
    """
    folders = {}
    targets: dict[str, list[Path]] = {}
    for path in recordings:
        root = next((each for each in named if each in path.parents), None)
        folders[path] = out if root is None else out / path.parent.relative_to(root)
        target = folders[path] / file_name(record_stem(path).name)
        targets.setdefault(str(target).casefold(), []).append(path)
    clashes = [paths for paths in targets.values() if len(paths) > 1]
    if clashes:
        names = " and ".join(str(path) for path in clashes[0])
        raise UsageError(
            f"{names} would write the same files in {folders[clashes[0][0]]}",
            "Rename one of them, give each its own --out folder, or name the folder above theirs: its subfolders are kept apart",
        )
    return folders


def refuse_corrected(prediction: Prediction, folder: Path) -> None:
    """Raises `UnusableInput` when a file that the prediction would replace holds beats that this program did not write."""
    stem = folder / prediction.record
    for path in (stem.with_name(f"{stem.name}.{ANNOTATOR}"), stem.with_name(f"{stem.name}.{ANNOTATOR}.csv")):
        if not path.is_file():
            continue
        try:
            labels = read_labels(path, prediction.fs)
        except AdapterError as error:
            raise UnusableInput(f"{path}: cannot be read, so it is not overwritten: {error.problem}", _FIX) from error
        listed = stem.with_name(f"{stem.name}{ORIGIN_SUFFIX}").is_file()
        if labels == tuple(prediction.labels()) or (listed and origin_of(path, stem, labels) == "machine"):
            continue
        why = "was corrected after it was predicted" if listed else "holds other beats, and nothing shows who wrote them"
        raise UnusableInput(f"{path}: {why}, so it is not overwritten", _FIX)


def list_prediction(prediction: Prediction, folder: Path) -> None:
    """Note what is predicted in `NAME.ecgfl.origin.json`, before the files of the prediction are written."""
    path = folder / f"{prediction.record}{ORIGIN_SUFFIX}"
    atomic_write_bytes(path, origin_text(path, prediction.labels(), prediction.model_version).encode())


_FIX = "Give another folder with --out, or overwrite it with --force; `ecgfl ingest --labels ecgfl` takes corrections in"
