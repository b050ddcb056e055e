"""Read the catalogue of a store."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest


@pytest.fixture
def rows_of() -> Callable[[Path], dict[str, list[tuple]]]:
    """rows_of(home): every row of the catalogue by table, without the time of adding."""

    def rows_of(home: Path) -> dict[str, list[tuple]]:
        with closing(sqlite3.connect(home / "catalogue.sqlite")) as connection:
            columns = [
                name
                for _, name, *_ in connection.execute("PRAGMA table_info(records)")
                if name != "added"
            ]
            tables = {"records": ", ".join(columns), "findings": "*", "patients": "*"}
            return {
                table: connection.execute(f"SELECT {what} FROM {table} ORDER BY 1, 2").fetchall()
                for table, what in tables.items()
            }

    return rows_of
