"""What stands for a patient where the file states no identifier."""

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
"""The file's own identifier, a rule that the user gave, or the mere place of the file."""

AUTO, FILE, FOLDER, NAME = "auto", "file", "folder", "name"
"""auto: the file's identifier, else like `file`. file: each file is one patient. folder: all files of a folder are one patient.
name: files of one name are one patient, in whatever folder."""

NAME_KIND = "patient-name"
"""Keeps a name apart from an identifier of the same text, which a file states."""

_UP = re.compile(rf"{FOLDER}:([1-9])")
_GENERIC = frozenset(
    """
    ecg ekg holter lead leads rec record recording export data file day tag jour dia night nacht session visit visite part teil
    channel signal signals raw monitor patch rest stress baseline follow followup up am pm morning evening before after pre post
    v d t n h
    """.split()  # noqa: SIM905 - a list of 50 strings is hard to read
)
_RECORDING_SUFFIXES = {".hea", ".edf", ".bdf", ".csv", ".tsv", ".txt", ".gz"}
_DATE = re.compile(r"(?:19|20)\d{2}(?:[01]\d[0-3]\d(?:\d{4}|\d{6})?)?")
_SHORT_NUMBER = re.compile(r"\d{1,2}")
_SHORT_NUMBER_OR_TIME = re.compile(r"\d{1,2}|\d{4}|\d{6}")


@dataclass(frozen=True)
class PatientKey:
    """The identifier that a pseudonym is made from. kind : keeps identifiers of files and paths apart. by : who says so."""

    kind: str
    text: str
    by: Evidence


def check_rule(rule: str) -> str:
    """Raises `UsageError` when `rule` is none of those above."""
    if rule not in {AUTO, FILE, FOLDER, NAME} and not _UP.fullmatch(rule):
        raise UsageError(
            f"--patient {rule}: not known",
            f"Give {AUTO}, {FILE}, {FOLDER}, {FOLDER}:2 (two folders up, and so on) or {NAME}",
        )
    return rule


def patient_key(recording: Recording, path: Path, rule: str) -> PatientKey:
    """Return whose a recording is, by what the file states, by the rule or by its place.

    The place is the absolute path without following links: a data store's links have telling names, their targets do not.
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
    """Whether a recording's name says what or when and not who: "ecg", "day1", "20240131_0800". A mere number may say who."""
    words = re.findall(r"[^\W\d_]+|\d+", name.casefold())
    is_dated = any(_DATE.fullmatch(word) for word in words)
    number = _SHORT_NUMBER_OR_TIME if is_dated else _SHORT_NUMBER
    telling = [word for word in words if word not in _GENERIC and not _DATE.fullmatch(word)]
    return len(telling) < len(words) and all(number.fullmatch(word) for word in telling)


def ambiguous(paths: Sequence[Path]) -> set[Path]:
    """Return those of `paths` whose place may not tell the patient, if the file states none.

    The name lies in several folders, or says what or when ("day1") beside another recording in its folder. That one is in `paths`
    or only on the disk, as where each day is ingested alone.
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
    """Names of recordings in a folder that do not say who; none where it cannot be listed."""
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in _RECORDING_SUFFIXES]
    except OSError:
        return set()
    return {name for file in files if is_generic(name := record_stem(file).name.casefold())}
