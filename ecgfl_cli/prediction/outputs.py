"""Choose the folder for each recording's results, and write them without overwriting changes."""

import os
import tempfile
import unicodedata
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from ecgfl_adapters.discovery import record_stem, subfolder
from ecgfl_adapters.file_names import safe_name
from ecgfl_adapters.label_origin import ORIGIN_SUFFIX, Listed, file_name, listed_in, origin_text
from ecgfl_adapters.recording import Recording

from ecgfl_cli.errors import UnusableInput, UsageError
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.prediction.prediction import Prediction
from ecgfl_cli.prediction.writers.registry import Writer


def output_folders(
    recordings: Sequence[Path], named: Sequence[Path], out: Path
) -> dict[Path, Path]:
    """Return the folder for the results of each recording: `out` and the recording's subfolders.

    Parameters
    ----------
    recordings : one path for each recording, as `find_recordings` found them in `named`.
    named : the files and folders of the command line.
    out : the folder for all results.

    Raises
    ------
    UsageError
        If two recordings would write the same files. Names that differ only in upper and lower case
        are the same (as on Windows and macOS), and so are names that differ only in Unicode
        composition (as on macOS).
    """
    folders = {
        path: out.joinpath(*map(safe_name, subfolder(path, named).parts)) for path in recordings
    }
    targets: dict[str, list[Path]] = {}
    for path, folder in folders.items():
        target = str(folder / file_name(record_stem(path).name))
        targets.setdefault(unicodedata.normalize("NFC", target).casefold(), []).append(path)
    clashes = [paths for paths in targets.values() if len(paths) > 1]
    if clashes:
        names = " and ".join(str(path) for path in clashes[0])
        raise UsageError(
            f"{names} would write the same files in {folders[clashes[0][0]]}",
            "Rename one of them, give each its own --out folder, or name the folder above theirs: "
            "its subfolders are kept apart",
        )
    return folders


def write_results(
    recording: Recording,
    prediction: Prediction,
    folder: Path,
    writers: Sequence[Writer],
    *,
    force: bool = False,
) -> list[Path]:
    """Write the files of a prediction, and `NAME.ecgfl.origin.json`, which lists them.

    Parameters
    ----------
    recording : what the prediction was made from.
    prediction : its beats.
    folder : where the files go; made when it is missing.
    writers : one for each format.
    force : replace also what `predict` did not write.

    Returns
    -------
    list of Path
        The files, in the order of `writers`, without the note.

    Raises
    ------
    UnusableInput
        When a file that would be replaced was changed, was not written by `predict`, or belongs to
        another recording.
    """
    with tempfile.TemporaryDirectory() as scratch:
        contents = {
            written.name: written.read_bytes()
            for written in (writer(prediction, Path(scratch)) for writer in writers)
        }
    origin = folder / f"{prediction.record}{ORIGIN_SUFFIX}"
    place = sha256(os.fsencode(recording.source.path.absolute())).hexdigest()
    of_recording = (place, recording.signal_digest().hex())
    if not force:
        listed = listed_in(origin)
        for name, content in contents.items():
            _refuse_to_replace(folder / name, content, listed, of_recording)
    folder.mkdir(parents=True, exist_ok=True)
    # The note comes first: after a kill it may list files that are not there, but no file is there
    # that it does not list.
    note = origin_text(
        origin, prediction.labels(), contents.values(), prediction.model_version, of_recording
    )
    atomic_write_bytes(origin, note.encode())
    for name, content in contents.items():
        atomic_write_bytes(folder / name, content)
    return [folder / name for name in contents]


def _refuse_to_replace(
    path: Path, content: bytes, listed: Listed, of_recording: Sequence[str]
) -> None:
    if not path.is_file():
        return
    before = path.read_bytes()
    if before != content and sha256(before).hexdigest() not in listed.files:
        why = (
            "was changed after it was predicted"
            if listed.files
            else "holds something else, and nothing shows who wrote it"
        )
        raise UnusableInput(f"{path}: {why}, so it is not overwritten", _FIX)
    if listed.recording and listed.recording.isdisjoint(of_recording):
        raise UnusableInput(
            f"{path}: holds the result of another recording of this name, so it is not overwritten",
            _OTHER,
        )


_FIX = (
    "Give another folder with --out, or overwrite it with --force; "
    "`ecgfl ingest --labels ecgfl` imports corrections"
)
_OTHER = "Give each recording its own folder with --out, or overwrite it with --force"
