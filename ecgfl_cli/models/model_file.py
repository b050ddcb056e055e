"""A version as one file, for sites without a network connection.

The format is safetensors with the signed manifest as metadata.

The same version gives the same bytes. A file that is read is not trusted: sizes are checked before
anything is parsed, no name in the file becomes a path, and nothing of it is used before its
signature and hash are checked.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgfl_adapters.bounded import read_bounded
from pydantic import ValidationError

from ecgfl_cli.errors import ModelRejected
from ecgfl_cli.models.manifest import Manifest, SignedManifest, Verifier
from ecgfl_cli.models.networks import network_with
from ecgfl_cli.models.registry import Registry
from ecgfl_cli.models.trust import roots_from, roots_text

if TYPE_CHECKING:
    from torch import nn

KEY = "ecgfl-model"
ROOTS = "ecgfl-roots"
LARGEST_FILE = 64 * 1024 * 1024
"""Largest size in bytes. The networks have less than one MiB of weights."""

LARGEST_HEADER = 1024 * 1024
LENGTH_BYTES = 8
_FIX = "Get the file from the coordinator again; `ecgfl model export` writes it"


def model_file(registry: Registry, version: str, roots: Sequence[str] = ()) -> bytes:
    """Return a version of the registry as the content of a file.

    Parameters
    ----------
    registry : Registry
        The registry.
    version : str
        The version.
    roots : sequence of str
        The federation's root metadata, oldest first, from which the signing key follows.

    Raises
    ------
    ModelRejected
        The version is damaged; see `Registry.load`.
    """
    from safetensors.torch import save

    _, network = registry.load(version)
    signed = registry.entry(version).signed
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    metadata = {KEY: json.dumps(signed.model_dump(), sort_keys=True)}
    if roots:
        metadata[ROOTS] = roots_text(roots)
    return _with_sorted_metadata(bytes(save(tensors, metadata=metadata)))


def read_model_file(
    path: Path, keys: Callable[[list[str]], Verifier]
) -> "tuple[SignedManifest, Manifest, nn.Module]":
    """Read a model and check its signature, hash, architecture and weights.

    Parameters
    ----------
    path : Path
        The file.
    keys : callable
        Returns what checks the coordinator's signature, given the root metadata in the file.

    Raises
    ------
    ModelRejected
        One of them is wrong, or the file is not a model file.
    OSError
        The file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if path.stat().st_size > LARGEST_FILE:
        raise ModelRejected(
            f"{path}: larger than {LARGEST_FILE >> 20} MiB, the limit for a model", _FIX
        )
    data = read_bounded(path, LARGEST_FILE)
    try:
        metadata = _metadata(data)
        signed = SignedManifest.model_validate_json(metadata[KEY])
        roots = roots_from(metadata.get(ROOTS, "[]"))
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        raise ModelRejected(
            f"{path}: not a model file of ecgfl ({type(error).__name__})", _FIX
        ) from error
    manifest = signed.open(keys(roots))
    try:
        return signed, manifest, network_with(manifest, load(data))
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise ModelRejected(
            f"{path}: not the weights of a {manifest.architecture}: {error}", _FIX
        ) from error


def _with_sorted_metadata(data: bytes) -> bytes:
    """Return a file with its metadata sorted: safetensors writes several keys in a random order."""
    header, rest = _header(data)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + rest


def _metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata of a file."""
    metadata = _header(data)[0]["__metadata__"]
    if not isinstance(metadata, dict):
        raise TypeError("no metadata")
    return metadata


def _header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header, a JSON object after eight bytes with its length, and the rest."""
    length = int.from_bytes(data[:LENGTH_BYTES], "little")
    if not 0 < length <= min(LARGEST_HEADER, len(data) - LENGTH_BYTES):
        raise ValueError("no header")
    end = LENGTH_BYTES + length
    header: dict[str, Any] = json.loads(data[LENGTH_BYTES:end])
    return header, data[end:]
