"""A version of a registry, and the file with its manifest."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ecgfl_cli.models.manifest import Manifest, SignedManifest
from ecgfl_cli.models.model_files import HighWaterMark
from ecgfl_cli.models.verdicts import Acceptance
from ecgfl_cli.printable import short_reason
from ecgfl_cli.schemas import first_fault, require_bounded


@dataclass(frozen=True)
class Entry:
    """A version in the registry.

    Attributes
    ----------
    signed : SignedManifest
        The manifest as it was received.
    manifest : Manifest
        The manifest.
    received : dict
        Where the version came from, and when.
    acceptance : dict or None
        Result of the site's test of it; None for a version that was not tested.
    """

    signed: SignedManifest
    manifest: Manifest
    received: dict[str, Any]
    acceptance: dict[str, Any] | None = None

    @property
    def is_rejected(self) -> bool:
        """Whether the site's test rejected it."""
        return self.acceptance is not None and not self.acceptance.get("accepted")

    @property
    def mark(self) -> HighWaterMark:
        """What identifies the version."""
        return HighWaterMark(
            sequence=self.manifest.sequence,
            version=self.manifest.version,
            manifest_sha256=self.signed.sha256,
        )

    def to_bytes(self) -> bytes:
        """Return the content of its manifest file."""
        return json.dumps(self._fields(), indent=1).encode()

    def to_line(self) -> bytes:
        """Return its line in the file of the manifests without weights."""
        return json.dumps(self._fields()).encode() + b"\n"

    def _fields(self) -> dict[str, Any]:
        fields = {**self.signed.model_dump(), "received": self.received}
        if self.acceptance is not None:
            fields["acceptance"] = self.acceptance
        return fields


def parsed_entry(text: bytes, opened: Callable[[SignedManifest], Manifest]) -> Entry:
    """Parse the content of a manifest file.

    Parameters
    ----------
    text : bytes
        The content.
    opened : callable
        Returns the manifest, after checking its signature if it must be checked.

    Raises
    ------
    ValueError
        It is broken.
    ModelRejected
        The signature or the manifest is wrong.
    """
    try:
        content = json.loads(text)
        require_bounded(content)
        received, acceptance = content.pop("received"), content.pop("acceptance", None)
        if not isinstance(received, dict):
            raise ValueError("received is not an object")
        if acceptance is not None:
            Acceptance.model_validate(acceptance)
        signed = SignedManifest.model_validate(content)
    except ValidationError as error:
        fault = first_fault(error)
        field = f"{short_reason(fault.field)}: " if fault.field else ""
        raise ValueError(f"{error.title}: {field}{fault.reason}") from error
    except (KeyError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return Entry(signed, opened(signed), received, acceptance)
