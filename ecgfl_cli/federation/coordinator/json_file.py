"""Files that `serve` writes for itself and reads again."""

from pathlib import Path
from typing import TypeVar

from ecgfl_adapters.bounded import read_bounded
from pydantic import BaseModel, ValidationError

from ecgfl_cli.errors import UnusableInput
from ecgfl_cli.schemas import first_fault, require_bounded

LARGEST_JSON = 16 * 2**20
"""Largest size of a file in bytes, unless it says otherwise."""

Content = TypeVar("Content", bound=BaseModel)


def load_json(path: Path, schema: type[Content], fix: str, largest: int = LARGEST_JSON) -> Content:
    """Read a file and check it.

    fix : what to do where the file is broken. largest : its largest size in bytes.

    Raises `UnusableInput` naming the file and the field, also for a file that cannot be read, and `FileNotFoundError`.
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
        raise UnusableInput(f"{path}: it cannot be read: {error.strerror or error}", fix) from error
    except (ValueError, RecursionError) as error:
        raise UnusableInput(f"{path}: {error}", fix) from error
