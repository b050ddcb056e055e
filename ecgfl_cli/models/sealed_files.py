"""The files of a site's registry, and a record of them that shows every other change.

models.json beside the folder has the SHA-256 of each file and the high-water mark, with an
HMAC-SHA-256. The key is derived from keys/secret: it exists in every home, is never replaced, and
needs no passphrase, so that `predict` and `model use` work without the node key. Whoever can read
keys/ can forge the record; the audit log then still names each change.

The record is written twice for a change: before it, with the old and the new hashes of the files
that change, and after it. Therefore a kill at any moment leaves files that the record allows.

An older record has a valid code too. Therefore the audit log is the witness: the line of each
change has the number of the record, and a record with a lower number than the log is refused. The
high-water mark is also in these lines, so that it survives the loss of models/ and models.json.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal

from ecgfl_adapters.bounded import read_bounded
from pydantic import Field, ValidationError

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.models.manifest import Sha256
from ecgfl_cli.models.model_files import MAKING, REMOVING, Change, HighWaterMark, ModelFiles
from ecgfl_cli.schemas import LARGEST_INTEGER, StrictModel, first_fault

RECORD_SCHEMA: Literal["ecgfl.models/1"] = "ecgfl.models/1"
PURPOSE = "ecgfl.models/1"
"""Purpose from which the key of the code is derived (`site.keys.derived_key`)."""

LARGEST_RECORD = 1 << 26
"""Largest size of the record in bytes. A version takes about 300 bytes."""

LARGEST_FILE = 1 << 28
"""Largest size of a file of a registry in bytes. A pruned version takes about 2 KiB."""

TRIES = 5
"""How often the folder is compared with the record while another ecgfl changes both."""

LEFT_OVER = (MAKING, REMOVING)

REPAIR = (
    "Run `ecgfl model repair`: it moves damaged files out of the folder and keeps the other "
    "models. Then `ecgfl join` or `ecgfl model import FILE` brings the newest model"
)
"""What to do about a changed file, for messages."""


class Record(StrictModel):
    """What ecgfl has written to the folder.

    Attributes
    ----------
    number : int
        Number of the change that it belongs to. It never decreases.
    federation : str
        Signing key in federation.json, base64.
    files : dict
        Path, relative to the folder -> SHA-256.
    pending : dict
        Path -> SHA-256 after the change that has begun; None for a file that it removes.
    mark : HighWaterMark or None
        The high-water mark; None before the first model.
    """

    schema_name: Annotated[Literal["ecgfl.models/1"], Field(alias="schema")] = RECORD_SCHEMA
    number: Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
    federation: Annotated[str, Field(max_length=64)]
    files: dict[str, Sha256] = Field(default_factory=dict)
    pending: dict[str, Sha256 | None] = Field(default_factory=dict)
    mark: HighWaterMark | None = None

    def allows(self, path: str, digest: str | None) -> bool:
        """Whether a file may have this SHA-256; None if it is missing."""
        if path in self.pending and self.pending[path] == digest:
            return True
        return self.files.get(path) == digest


class RecordFile(StrictModel):
    """Content of models.json: a record as text, and the code of exactly this text."""

    record: Annotated[str, Field(max_length=LARGEST_RECORD)]
    mac: Sha256


class SealedFiles(ModelFiles):
    """The files of a site's registry.

    A home that an earlier version of ecgfl made has no record, and its files are not compared with
    one. The first change makes the record.

    Parameters
    ----------
    folder : Path
        Folder of the registry.
    key : callable
        Returns the key of the code. It is read when it is needed, because a home without models
        needs none.
    federation : str
        Signing key in federation.json, base64.
    logged : callable
        Returns the highest number of a change in the audit log; 0 if there is none.
    """

    def __init__(
        self,
        folder: Path,
        key: Callable[[], bytes],
        federation: str,
        logged: Callable[[], int],
    ) -> None:
        super().__init__(folder)
        self.record_path = folder.with_name("models.json")
        self._key = key
        self._federation = federation
        self._logged = logged

    @property
    def is_sealed(self) -> bool:
        """Whether there is a record."""
        return os.path.lexists(self.record_path)

    def mark(self) -> HighWaterMark | None:
        """Return the high-water mark of the record."""
        record = self.record()
        return None if record is None else record.mark

    def number(self) -> int:
        """Return the number of the newest change."""
        record = self.record()
        return 0 if record is None else record.number

    def record(self) -> Record | None:
        """Return the record; None if this home has none yet.

        Raises
        ------
        ModelRejected
            It is damaged, missing, older than the audit log, or of another federation.
        """
        logged = self._logged()  # before the record, which is written before its line in the log
        record = self.read_record()
        audit = self.record_path.with_name("audit.jsonl")
        if record is None:
            if logged:
                raise ModelRejected(
                    f"{self.record_path}: missing, although {audit.name} has changes of the models "
                    f"up to number {logged}",
                    REPAIR,
                )
            return None
        if record.number < logged:
            raise ModelRejected(
                f"{self.record_path}: an old state, from change {record.number} of the models, and "
                f"{audit.name} has change {logged}",
                REPAIR,
            )
        if not self.is_of_federation(record):
            raise ModelRejected(
                f"{self.record_path}: belongs to the federation with the signing key "
                f"{record.federation}, and federation.json "
                + (f"has {self._federation}" if self._federation else "is missing"),
                "Get federation.json from the coordinator, move the present one away, and run "
                "`ecgfl init --site NAME --federation FILE`, which also moves models of another "
                "federation away",
            )
        return record

    def is_of_federation(self, record: Record) -> bool:
        """Whether a record belongs to the federation of federation.json.

        A record without a federation is that of a site that had none, and no models.
        """
        return record.federation in ("", self._federation)

    def new_record(self, number: int, mark: HighWaterMark | None) -> Record:
        """Return a record of the files as they are.

        Raises
        ------
        ModelRejected
            Something in the folder is not a file, or a folder is empty.
        """
        try:
            return Record(
                number=number, federation=self._federation, files=dict(self.present()), mark=mark
            )
        except ValidationError as error:
            fault = first_fault(error)
            name = fault.location[-1] if fault.location else ""
            raise ModelRejected(f"{self.folder / str(name)}: {fault.value}", REPAIR) from error

    def read_record(self) -> Record | None:
        """Return the record without comparing it with the audit log; None if it is missing.

        Raises
        ------
        ModelRejected
            It is damaged, or not written with this home's key.
        """
        try:
            if self.record_path.is_symlink():
                raise ValueError("a symbolic link")
            content = RecordFile.model_validate_json(read_bounded(self.record_path, LARGEST_RECORD))
            if not hmac.compare_digest(content.mac, self._mac(content.record)):
                raise ValueError("not written with the key of this home")
            return Record.model_validate_json(content.record)
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ModelRejected(f"{self.record_path}: damaged", REPAIR) from error
        except (OSError, ValueError) as error:
            raise ModelRejected(f"{self.record_path}: damaged: {error}", REPAIR) from error

    def trusts(self, path: str) -> bool:
        """Whether a file is as ecgfl wrote it; True in a home without a record."""
        record = self.record()
        return record is None or record.allows(path, self._digests([path])[path])

    def require_intact(self, but: str | None = None) -> None:
        """Check every file of the folder.

        Parameters
        ----------
        but : str or None
            A version that may be damaged, because it is about to be received again.

        Raises
        ------
        ModelRejected
            A file was changed, added or removed, or the record is wrong.
        """
        problem = ""
        for _ in range(TRIES):
            record = self.record()
            if record is None:
                return
            problem = next(
                (
                    text
                    for path, text in self.problems(record).items()
                    if but is None or path.partition("/")[0] != but
                ),
                "",
            )
            if not problem:
                return
            if record == self.read_record():
                break  # else another ecgfl is changing the folder
        raise ModelRejected(problem, REPAIR)

    def problems(self, record: Record) -> dict[str, str]:
        """Return what is wrong with each file that is not as the record says, by path."""
        present = dict(self.present())
        problems = {}
        for path in sorted({*present, *record.files}):
            digest = present.get(path)
            if record.allows(path, digest):
                continue
            if path not in record.files and path not in record.pending:
                cause = "not written by ecgfl"
            elif digest is None:
                cause = "missing"
            else:
                cause = "changed since ecgfl wrote it"
            problems[path] = f"{self.folder / path}: {cause}"
        return problems

    def present(self) -> Iterator[tuple[str, str]]:
        """Yield path and SHA-256 of each file, and what is neither a file nor a folder of some.

        What ecgfl itself leaves after a kill, and removes with the next change, is left out.
        """
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith(LEFT_OVER) or _is_temporary(path):
                continue
            if path.is_symlink() or not path.is_dir():
                yield path.name, _digest(path)
                continue
            content = sorted(each for each in path.iterdir() if not _is_temporary(each))
            for each in content:
                yield f"{path.name}/{each.name}", _digest(each)
            if not content:
                yield path.name, "an empty folder"

    def apply(self, change: Change) -> None:
        """Make a change, and record it.

        Raises
        ------
        ModelRejected
            The record is wrong, or a file was changed during the change.
        """
        record = self.record() or self.new_record(1, None)
        pending: dict[str, str | None] = {
            f"{version}/{name}": _sha256(content)
            for version, files in change.folders.items()
            for name, content in files.items()
        }
        pending |= {
            path: None if content is None else _sha256(content)
            for path, content in change.files.items()
        }
        replaced = {*change.folders, *change.removed}
        known = {*record.files, *record.pending}
        gone = {path: None for path in known if path.partition("/")[0] in replaced}
        begun = record.model_copy(
            update={
                "number": record.number + 1,
                "federation": self._federation,
                "files": self._settled(record),
                "pending": {**gone, **pending},
                "mark": change.mark or record.mark,
            }
        )
        self.write_record(begun)
        super().apply(change)
        self.write_record(begun.model_copy(update={"files": self._settled(begun), "pending": {}}))

    def write_record(self, record: Record) -> None:
        """Write the record with its code."""
        text = json.dumps(record.model_dump(by_alias=True), separators=(",", ":"))
        content = RecordFile(record=text, mac=self._mac(text))
        atomic_write_bytes(self.record_path, content.model_dump_json().encode(), mode=0o600)

    def _settled(self, record: Record) -> dict[str, str]:
        """Return the files of a record after its pending change, as far as it was made."""
        present = self._digests(record.pending)
        files = {path: digest for path, digest in record.files.items() if path not in present}
        for path, digest in present.items():
            # For a damaged file, keep a hash that it does not have, so that it is still found.
            allowed = record.allows(path, digest)
            settled = digest if allowed else record.files.get(path) or record.pending[path]
            if settled is not None:
                files[path] = settled
        return files

    def _digests(self, paths: Iterable[str]) -> dict[str, str | None]:
        return {
            path: _digest(self.folder / path) if os.path.lexists(self.folder / path) else None
            for path in paths
        }

    def _mac(self, text: str) -> str:
        return hmac.new(self._key(), text.encode(), hashlib.sha256).hexdigest()


def _is_temporary(path: Path) -> bool:
    """Whether this is a file that `atomic_write_bytes` is writing, or that a kill left."""
    return path.name.startswith(".") and path.suffix == ".tmp" and path.is_file()


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or words that equal no SHA-256."""
    if path.is_symlink():
        return "a symbolic link"
    if not path.is_file():
        return "not a file"
    try:
        return _sha256(read_bounded(path, LARGEST_FILE))
    except FileNotFoundError:
        return "missing"  # another ecgfl is changing the folder
    except (OSError, ValueError) as error:
        return f"not readable: {error}"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
