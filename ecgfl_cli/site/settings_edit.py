"""Change values in a settings file. Comments, order and all other lines stay."""

from collections.abc import Mapping
from pathlib import Path

import tomlkit
from ecgfl_adapters.bounded import read_bounded

from ecgfl_cli.files import atomic_write_bytes
from ecgfl_cli.site.settings import LARGEST_TOML


def change_settings(path: Path, section: str, values: Mapping[str, object]) -> None:
    """Change values of one table of a settings file.

    Parameters
    ----------
    path
        The file, for instance site.toml.
    section
        Name of the table, for instance "policy"; it is added if it does not exist.
    values
        Name of each field -> its new value.

    Raises
    ------
    ValueError
        The file is not valid TOML.
    OSError
        The file cannot be read or written.
    """
    document = tomlkit.parse(read_bounded(path, LARGEST_TOML).decode())
    table = document.setdefault(section, tomlkit.table())
    table.update(values)
    atomic_write_bytes(path, tomlkit.dumps(document).encode())
