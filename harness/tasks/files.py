"""Files with problems, row by row, with every text and number as it was written.

JSON lines (``.jsonl``, ``.ndjson``), JSON (``.json``: a list of objects, or lines), CSV, TSV and
Parquet, each also compressed by gzip, and the folder that ``datasets.Dataset.save_to_disk`` makes.
Nothing is guessed from what a text looks like: ``2024-01-05``, ``007``, ``null`` in quotes and an
integer of forty digits stay what they are.
"""

import csv
import gzip
import io
import json
import math
import sys
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import TaskError

READS = ".jsonl, .json, .csv, .tsv, .parquet (.gz too), or a folder by datasets' save_to_disk"
_GZIP = b"\x1f\x8b"
_STATE = "state.json"
_SPLITS = "dataset_dict.json"


class Row(NamedTuple):
    """One problem as its file has it."""

    place: str
    """The place for messages, such as ``problems.jsonl:7``."""
    cells: Mapping[str, Any]
    """By column: a text, None, or a list or object, which no field can use."""


def read_file(file: Path) -> list[Row]:
    """Reads all rows of a file, or of a folder made by ``save_to_disk``.

    Raises:
        TaskError: It cannot be read; names the file, and the line or row where there is one.
    """
    try:
        if file.is_dir():
            return _read_folder(file)
        return _read_bytes(file, file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{file}: cannot be read: {_first_line(error)}") from error


def rows_of_table(table: Any, name: str) -> list[Row]:
    """The rows of an Arrow table.

    Args:
        table: A ``pyarrow.Table``.
        name: Of what it was read from, for messages.
    """
    columns = {each: [_text(cell) for cell in _cells(table[each])] for each in table.column_names}
    return [
        Row(f"{name}: row {number}", {each: cells[number] for each, cells in columns.items()})
        for number in range(table.num_rows)
    ]


def cell_text(cell: Any, where: str) -> str:
    """The text of a cell.

    Args:
        cell: Of a ``Row``.
        where: Names the row and the column, for messages.

    Raises:
        TaskError: It has none: a list, an object, a date of a typed column, half a character.
    """
    if not isinstance(cell, str | Decimal):
        raise TaskError(f"{where} holds a {type(cell).__name__}; should be text or a number")
    text = str(cell)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TaskError(f"{where} holds half of a surrogate pair, which is no character") from error
    return text


def _read_bytes(file: Path, data: bytes) -> list[Row]:
    if data.startswith(_GZIP):
        data = gzip.decompress(data)
    match file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix:
        case ".jsonl" | ".ndjson":
            return _read_lines(file, _decoded(file, data))
        case ".json":
            text = _decoded(file, data)
            is_list = text.lstrip().startswith("[")
            return _read_list(file, text) if is_list else _read_lines(file, text)
        case ".csv":
            return _read_csv(file, _decoded(file, data), ",")
        case ".tsv":
            return _read_csv(file, _decoded(file, data), "\t")
        case ".parquet":
            return _read_parquet(file, data)
        case other:
            raise TaskError(f"{file}: no task is read from a {other or 'nameless'} file; {READS}")


def _decoded(file: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TaskError(
            f"{file}:{line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error


def _read_lines(file: Path, text: str) -> list[Row]:
    # A line ends at a line break alone: str.splitlines would cut texts at others too.
    lines = enumerate(text.split("\n"), start=1)
    return [
        Row(f"{file}:{number}", _object(f"{file}:{number}", _json(f"{file}:{number}", line)))
        for number, line in lines
        if line.strip()
    ]


def _read_list(file: Path, text: str) -> list[Row]:
    places = ((f"{file}: row {number}", each) for number, each in enumerate(_json(str(file), text)))
    return [Row(place, _object(place, each)) for place, each in places]


def _json(place: str, text: str) -> Any:
    """One JSON value; its numbers and constants as they are spelled."""
    try:
        return json.loads(
            text,
            parse_int=str,
            parse_float=str,
            parse_constant=str,
            object_pairs_hook=_unique,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if "\n" in text else error.colno
        raise TaskError(f"{place}: no JSON: {error.msg} (at {where})") from error
    except (ValueError, RecursionError) as error:
        raise TaskError(f"{place}: no JSON: {_first_line(error)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' is given twice")
    return found


def _object(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TaskError(f"{place}: should be an object with a column's name for each key")
    return {name: _text(cell) for name, cell in value.items()}


def _read_csv(file: Path, text: str, delimiter: str) -> list[Row]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        return list(_csv_rows(file, reader))
    except csv.Error as error:
        raise TaskError(f"{file}:{reader.line_num}: no CSV: {error}") from error


def _csv_rows(file: Path, reader: Any) -> Iterator[Row]:
    names: list[str] = next(reader, [])
    for name in names:
        if name and names.count(name) > 1:  # columns without a name are no problem's fields
            raise TaskError(f"{file}:1: names the column '{name}' twice")
    begins = reader.line_num + 1
    for cells in reader:
        place, begins = f"{file}:{begins}", reader.line_num + 1
        if not cells:  # an empty line
            continue
        if len(cells) != len(names):
            raise TaskError(f"{place}: has {len(cells)} cells, the first line names {len(names)}")
        yield Row(place, dict(zip(names, cells, strict=True)))


def _read_parquet(file: Path, data: bytes) -> list[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
    except pa.ArrowException as error:
        raise TaskError(f"{file}: no Parquet: {_first_line(error)}") from error
    return rows_of_table(table, str(file))


def _read_folder(folder: Path) -> list[Row]:
    if (folder / _SPLITS).is_file():
        splits = sorted(each.parent.name for each in folder.glob(f"*/{_STATE}"))
        if len(splits) != 1:
            raise TaskError(
                f"{folder}: has the splits {', '.join(splits) or 'none'}; name the folder of one"
            )
        folder = folder / splits[0]
    if not (folder / _STATE).is_file():
        raise TaskError(f"{folder}: is no folder that save_to_disk made; {READS}")
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_from_disk(str(folder))
        table = loaded.with_format("arrow")[:]
    except Exception as error:  # Arrow's, json's and datasets' own
        raise TaskError(f"{folder}: cannot be read: {_first_line(error)}") from error
    return rows_of_table(table, str(folder))


def _cells(column: Any) -> list[Any]:
    """A column's values; numbers of single precision with no more digits than they have."""
    import pyarrow as pa

    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        # NumPy has the digits, but turns null into NaN.
        pairs = zip(column.to_pylist(), column.to_numpy(), strict=True)
        return [None if cell is None or math.isnan(cell) else str(short) for cell, short in pairs]
    return list(column.to_pylist())


def _text(cell: Any) -> Any:
    """A cell as text if its value has one spelling, else unchanged. NaN is a missing value."""
    match cell:
        case bool():
            return "true" if cell else "false"
        case float() if math.isnan(cell):
            return None
        case int() | float():
            return str(cell)
        case _:
            return cell


def _first_line(error: BaseException) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).strip().partition("\n")[0][:200] or type(error).__name__
