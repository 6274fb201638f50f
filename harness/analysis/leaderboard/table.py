"""Rows in a DuckDB that lives in memory: opened, given its columns, filled."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from tempfile import NamedTemporaryFile, gettempdir
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

from harness.errors import StoreError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SQL_TYPES = {
    str: "VARCHAR",
    int: "BIGINT",
    float: "DOUBLE",
    bool: "BOOLEAN",
    datetime: "TIMESTAMP",
}


@contextmanager
def connect() -> Iterator["DuckDBPyConnection"]:
    """An in-memory DuckDB that uses neither the network nor a disk by itself."""
    import duckdb

    offline = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    connection = duckdb.connect(":memory:", config={**offline, "temp_directory": ""})
    try:
        yield connection
    finally:
        connection.close()


def columns_of(row: type[NamedTuple]) -> dict[str, str]:
    """The SQL type of each field."""
    columns = {}
    for name, kind in get_type_hints(row).items():
        kinds = (kind, *get_args(kind))
        columns[name] = next(_SQL_TYPES[each] for each in kinds if each in _SQL_TYPES)
    return columns


def insert(
    connection: "DuckDBPyConnection",
    table: str,
    columns: dict[str, str],
    rows: Iterable[dict[str, Any]],
) -> None:
    """Adds rows to a table of these columns, made if there is none.

    By way of a file of JSON lines: DuckDB takes a hundred times as long for rows from Python, and
    an Arrow table imports pyarrow and pandas, which takes longer than reading the file.

    Raises:
        StoreError: There is no room for the file.
    """
    names = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({names})")
    given = list(rows)
    if not given:
        return
    import msgspec

    try:
        with NamedTemporaryFile(suffix=".jsonl") as file:
            file.write(msgspec.json.Encoder().encode_lines(given))
            file.flush()
            lines = connection.read_json(file.name, columns=columns, format="newline_delimited")
            lines.insert_into(table)
    except OSError as error:
        raise StoreError(
            f"{error.filename or gettempdir()}: cannot be written: {error.strerror}"
        ) from error
