"""Make a site's models usable again after a file was damaged (`ecgfl model repair`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ecgfl_cli.errors import ModelRejected, UsageError
from ecgfl_cli.models.manifest import SHA256, VERSION
from ecgfl_cli.models.model_files import Change, HighWaterMark
from ecgfl_cli.models.registry import MANIFEST, PRUNED, WEIGHTS, Registry
from ecgfl_cli.models.sealed_files import Record, SealedFiles
from ecgfl_cli.models.selection import SELECTION_FILES, selected
from ecgfl_cli.models.site_models import CHANGE, sealed_files, unchecked_registry
from ecgfl_cli.site.audit import AuditLog
from ecgfl_cli.site.home import Home

RECEIVED = "model-received"
SELECTED = frozenset(("model-promoted", "model-rolled-back"))
FEDERATION = "federation-set"
REPAIRED = "models-repaired"
"""Events of the audit log."""


@dataclass(frozen=True)
class Repaired:
    """Result of a repair.

    Attributes
    ----------
    problems : list of str
        What was wrong.
    moved : list of str
        What was moved out of the models, relative to their folder.
    aside : Path or None
        Folder to which it was moved; None if nothing was moved.
    current : str or None
        The version that `predict` uses now; None for the starter model.
    """

    problems: list[str]
    moved: list[str]
    aside: Path | None
    current: str | None


@dataclass(frozen=True)
class Witness:
    """What the audit log says about the models of the present federation.

    Attributes
    ----------
    number : int
        Number of the newest change.
    mark : HighWaterMark or None
        The model with the highest number that was received.
    current : str or None
        The version that was selected last.
    """

    number: int = 0
    mark: HighWaterMark | None = None
    current: str | None = None


def repair_models(home: Home) -> Repaired:
    """Move what is damaged out of a site's models, and make a new record.

    A version stays if its files are those of the record, or, without a usable record, if its
    signature and its weights are right. The high-water mark stays: it is also in the audit log. The
    current version stays if it is known from the record or from the audit log, and undamaged;
    otherwise the starter model is used until a model is chosen or received.

    The caller holds the lock of the home.

    Raises
    ------
    UnusableInput
        The audit log is damaged.
    """
    files, registry = sealed_files(home), unchecked_registry(home)
    witness = _witness(home)
    trusted, problems = _trusted_record(files)
    if trusted is not None:
        wrong = files.problems(trusted)
        problems += wrong.values()
        damaged = {path.partition("/")[0] for path in wrong}
        for version in {*registry.versions()} - damaged:
            try:
                registry.entry(version)
            except (ModelRejected, UsageError) as error:
                damaged.add(version)
                problems.append(error.problem)
    else:
        damaged = _unverified(files, registry)
        problems += [f"{home.models / name}: cannot be verified" for name in sorted(damaged)]
    if not problems:
        return Repaired([], [], None, registry.current())
    keeps_selection = trusted is not None and not damaged & SELECTION_FILES
    if not keeps_selection:
        damaged |= {name for name in SELECTION_FILES if (home.models / name).exists()}
    moved = sorted(name for name in damaged if _exists(home.models / name))
    aside = _aside(home) if moved else None
    details = {"problems": problems, "moved": moved, "folder": aside and aside.name}
    with AuditLog(home.audit).change(REPAIRED, **details) as logged:
        if aside is not None:
            aside.mkdir(mode=0o700)
            for name in moved:
                (home.models / name).rename(aside / name)
        mark = _highest(None if trusted is None else trusted.mark, witness.mark, registry)
        number = max(witness.number, 0 if trusted is None else trusted.number) + 1
        files.write_record(files.new_record(number, mark))
        if keeps_selection:
            current = _reselect(registry)
        else:
            current = witness.current if witness.current in registry.versions() else None
            files.apply(Change(files=selected(current)))
        if trusted is None:
            _forget_verdicts(files, registry)
        logged[CHANGE] = files.number()
    return Repaired(problems, moved, aside, current)


def set_aside(home: Home) -> int:
    """Move the models of another federation out of the way, and begin a new record.

    Does nothing if there is no record, or the models belong to the federation of federation.json.

    Returns
    -------
    int
        Number of the change for the audit log; 0 if nothing was changed.
    """
    files = sealed_files(home)
    try:
        record = files.read_record()
    except ModelRejected:
        return 0  # `model repair` examines the models
    if record is None or files.is_of_federation(record):
        return 0
    if home.models.is_dir() and any(home.models.iterdir()):
        home.models.rename(_aside(home))
    number = max(_witness(home).number, record.number) + 1
    files.write_record(files.new_record(number, None))
    return number


def _trusted_record(files: SealedFiles) -> tuple[Record | None, list[str]]:
    """Return the record if it can be relied on, and what is wrong with it."""
    try:
        return files.record(), []
    except ModelRejected as error:
        return None, [error.problem]


def _unverified(files: SealedFiles, registry: Registry) -> set[str]:
    """Return the names in the folder that are not needed or not verified by their signature."""
    present = dict(files.present())
    unverified = {path.partition("/")[0] for path in present} - SELECTION_FILES
    for version in registry.versions():
        paths = {path for path in present if path.partition("/")[0] == version}
        if paths != {f"{version}/{MANIFEST}", f"{version}/{WEIGHTS}"}:
            continue
        try:
            registry.load(version)
        except (ModelRejected, UsageError):
            continue
        if all(re.fullmatch(SHA256, present[path]) for path in paths):
            unverified.discard(version)
    try:
        registry.pruned()
    except ModelRejected:
        return unverified
    if re.fullmatch(SHA256, present.get(PRUNED, "")):
        unverified.discard(PRUNED)
    return unverified


def _reselect(registry: Registry) -> str | None:
    """Select versions that are still there instead of lost ones, and return the current one."""
    present = {None, *registry.versions()}
    if registry.current() not in present:
        try:
            registry.roll_back()
        except UsageError:
            registry.promote(None)
    elif registry.best() not in present:
        registry.promote(registry.current())
    return registry.current()


def _forget_verdicts(files: SealedFiles, registry: Registry) -> None:
    """Remove the results of this site's tests, which no signature covers."""
    changed = {
        f"{entry.manifest.version}/{MANIFEST}": replace(entry, acceptance=None).to_bytes()
        for entry in registry.entries()
        if entry.acceptance is not None
    }
    if changed:
        files.apply(Change(files=changed))


def _highest(
    recorded: HighWaterMark | None, logged: HighWaterMark | None, registry: Registry
) -> HighWaterMark | None:
    marks = [mark for mark in (recorded, logged, registry.newest_mark()) if mark is not None]
    return max(marks, key=lambda mark: mark.sequence, default=None)


def _witness(home: Home) -> Witness:
    """Read the audit log. Lines of an earlier federation count for the number only."""
    number, mark, current, signing_key = 0, None, None, None
    for entry in AuditLog(home.audit).entries():
        if entry["event"] == FEDERATION and entry.get("signing_key") != signing_key:
            signing_key, mark, current = entry.get("signing_key"), None, None
        number = max(number, _number(entry.get(CHANGE)))
        if entry["event"] == RECEIVED:
            received = _mark(entry)
            if received is not None and (mark is None or received.sequence >= mark.sequence):
                mark = received
        elif entry["event"] in SELECTED:
            current = _text(entry.get("version"), VERSION)
    return Witness(number, mark, current)


def _mark(entry: Mapping[str, Any]) -> HighWaterMark | None:
    version = _text(entry.get("version"), VERSION)
    if version is None or not isinstance(entry.get("sequence"), int):
        return None
    return HighWaterMark(
        sequence=_number(entry["sequence"]),
        version=version,
        manifest_sha256=_text(entry.get("manifest"), SHA256),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _text(value: object, pattern: str) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(pattern, value) else None


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _aside(home: Home) -> Path:
    return home.root / f"models-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z"
