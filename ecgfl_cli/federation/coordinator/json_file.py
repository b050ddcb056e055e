"""Load the JSON files that `serve` writes and reads again."""

from pathlib import Path
from typing import TypeVar

from ecgfl_adapters.bounded import read_bounded
from pydantic import BaseModel, ValidationError

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.schemas import first_fault, require_bounded

LARGEST_JSON = 16 * 2**20
"""Largest size of a file in bytes, unless the caller gives another."""

Content = TypeVar("Content", bound=BaseModel)


def load_json(path: Path, schema: type[Content], fix: str, largest: int = LARGEST_JSON) -> Content:
    """Read a JSON file and check it.

    Parameters
    ----------
    path
        The file.
    schema
        Schema of its content.
    fix
        What a person must do if the file is broken, for the message.
    largest
        Largest size in bytes.

    Raises
    ------
    UnusableInput
        The file cannot be read or is broken; the message names the file and the field.
    FileNotFoundError
        There is no such file.
    """
    try:
        content = schema.model_validate_json(read_bounded(path, largest))
        require_bounded(content.model_dump())
        return content
    except ValidationError as error:
        raise UnusableInput(f"{path}: {first_fault(error)}", fix) from error
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnusableInput(f"{path}: cannot be read: {error.strerror or error}", fix) from error
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{path}: {error}", fix) from error
