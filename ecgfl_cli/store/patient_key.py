"""Choose the identifier of a patient: that of the file, or one made from its place."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgfl_adapters.discovery import record_stem
from ecgfl_adapters.recording import Recording

from ecgfl_cli.errors import UsageError

Evidence = Literal["file", "rule", "place"]
"""Where the identifier comes from: the file, the user's rule or the place of the file."""

AUTO, FILE, FOLDER, NAME = "auto", "file", "folder", "name"
"""Rules. auto : the file's identifier, else as `file`. file : each file is a patient. folder : all
files of a folder are one patient's. name : all files of a name are one patient's, in any folder."""

NAME_KIND = "patient-name"
"""Kind of the pseudonyms of names, so that a name differs from an identifier of the same text."""

_UP = re.compile(rf"{FOLDER}:([1-9])")
_GENERIC = frozenset(
    """
    ecg ekg holter lead leads rec record recording export data file day tag jour dia night nacht
    session visit visite part teil channel signal signals raw monitor patch rest stress baseline
    follow followup up am pm morning evening before after pre post v d t n h
    """.split()  # noqa: SIM905 - a list of 50 strings is hard to read
)
_RECORDING_SUFFIXES = {".hea", ".edf", ".bdf", ".csv", ".tsv", ".txt", ".gz"}
_DATE = re.compile(r"(?:19|20)\d{2}(?:[01]\d[0-3]\d(?:\d{4}|\d{6})?)?")
_SHORT_NUMBER = re.compile(r"\d{1,2}")
_SHORT_NUMBER_OR_TIME = re.compile(r"\d{1,2}|\d{4}|\d{6}")


@dataclass(frozen=True)
class PatientKey:
    """The identifier that a pseudonym is made from.

    Attributes
    ----------
    kind : str
        Kind of the identifier; equal texts of different kinds get different pseudonyms.
    text : str
        The identifier.
    by : {"file", "rule", "place"}
        Where it comes from.
    """

    kind: str
    text: str
    by: Evidence


def check_rule(rule: str) -> str:
    """Return a rule. Raise `UsageError` if it is not one of the rules above."""
    if rule not in {AUTO, FILE, FOLDER, NAME} and not _UP.fullmatch(rule):
        raise UsageError(
            f"--patient {rule}: unknown rule",
            f"Give {AUTO}, {FILE}, {FOLDER}, {FOLDER}:2 (two folders up, and so on) or {NAME}",
        )
    return rule


def patient_key(recording: Recording, path: Path, rule: str) -> PatientKey:
    """Return the identifier of a recording's patient.

    The place of a file is its absolute path without following links: in a data store, the links
    have meaningful names and their targets do not.

    Parameters
    ----------
    recording : Recording
        The recording, with what the file states.
    path : Path
        The file.
    rule : str
        The rule; see `check_rule`.

    Raises
    ------
    UsageError
        There are fewer folders above the file than the rule needs.
    """
    stated = recording.source.patient
    if rule == AUTO and stated:
        return PatientKey("patient", stated, "file")
    if rule == NAME:
        return PatientKey(NAME_KIND, recording.name, "rule")
    folder = Path(os.path.normcase(os.path.normpath(path.absolute()))).parent
    if rule.startswith(FOLDER):
        up = _UP.fullmatch(rule)
        folders = (folder, *folder.parents)[
            :-1
        ]  # without the root, which would make one patient of everything
        levels = 1 if up is None else int(up[1])
        if levels > len(folders):
            raise UsageError(
                f"--patient {rule}: {path} has only {len(folders)} folders above it",
                "Give a smaller number",
            )
        return PatientKey("patient-folder", folders[levels - 1].as_posix(), "rule")
    return PatientKey(
        "patient-file", (folder / recording.name).as_posix(), "rule" if rule == FILE else "place"
    )


def is_generic(name: str) -> bool:
    """Whether a name says what or when but not who: "ecg", "day1", "20240131_0800".

    A name that is only a number may identify a person.
    """
    words = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    is_dated = any(_DATE.fullmatch(word) for word in words)
    number = _SHORT_NUMBER_OR_TIME if is_dated else _SHORT_NUMBER
    telling = [word for word in words if word not in _GENERIC and not _DATE.fullmatch(word)]
    return len(telling) < len(words) and all(number.fullmatch(word) for word in telling)


def ambiguous(paths: Sequence[Path]) -> set[Path]:
    """Return the paths whose place may not identify the patient, if the file states none.

    Files of the same name are in several folders, or the name says what or when ("day1") and there
    is another such recording in the folder. The other one is in `paths` or only on the disk, for
    instance if each day is ingested separately.
    """
    folders: dict[str, set[Path]] = {}
    names: dict[Path, set[str]] = {}
    for path in paths:
        stem = record_stem(path)
        folders.setdefault(stem.name.casefold(), set()).add(stem.parent)
        names.setdefault(stem.parent, set()).add(stem.name.casefold())
    beside = {
        folder: names[folder] | _generic_names(folder)
        for folder in names
        if any(map(is_generic, names[folder]))
    }
    return {
        path
        for path, stem in ((path, record_stem(path)) for path in paths)
        if len(folders[stem.name.casefold()]) > 1
        or (is_generic(stem.name) and len(beside[stem.parent]) > 1)
    }


def _generic_names(folder: Path) -> set[str]:
    """Return the generic names of recordings in a folder; none if it cannot be listed."""
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in _RECORDING_SUFFIXES]
    except OSError:
        return set()
    return {name for file in files if is_generic(name := record_stem(file).name.casefold())}
