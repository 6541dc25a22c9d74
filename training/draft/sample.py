"""The first rows of a file, column by column, as values of Python.

Owns the reading. Knows nothing of what a column may mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.files import FileKind, column_names, kind_of
from training.json_lines import read_lines
from worker.errors import InvalidConfig

#: Rows that are looked at: enough to tell ranges, decimals and repeats.
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file.

    Attributes
    ----------
    columns
        Name to values, None where one is missing. Those of a CSV are all texts.
    """

    path: Path
    kind: FileKind
    rows: int
    columns: Mapping[str, list[Any]]


def read_sample(path: Path) -> Sample:
    """Read the first rows of a Parquet, CSV or JSON lines file.

    Raises
    ------
    InvalidConfig
        Where the file cannot be read, or holds no rows.
    """
    kind = kind_of(path)
    readers = {"parquet": _parquet, "csv": _csv, "jsonl": _json}
    try:
        columns = readers[kind](path)
    except (pa.ArrowInvalid, OSError, ValueError) as error:
        raise InvalidConfig([f"{path} cannot be read: {error}"]) from error
    rows = max(map(len, columns.values()), default=0)
    if rows == 0:
        raise InvalidConfig([f"{path} holds no rows"], subject="data")
    return Sample(path, kind, rows, columns)


def _parquet(path: Path) -> dict[str, list[Any]]:
    with pyarrow.parquet.ParquetFile(path) as file:
        batches = list(islice(file.iter_batches(MAX_ROWS), 1))
        table = pa.Table.from_batches(batches, file.schema_arrow)
    columns: dict[str, list[Any]] = table.to_pydict()
    return columns


def _csv(path: Path) -> dict[str, list[Any]]:
    names = column_names(path)
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    lenient = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _row: "skip")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    with pyarrow.csv.open_csv(
        path, parse_options=lenient, convert_options=options
    ) as reader:
        for batch in reader:
            for name, values in batch.to_pydict().items():
                columns[name] += values[: MAX_ROWS - len(columns[name])]
            if len(columns[names[0]]) >= MAX_ROWS:
                break
    return columns


def _json(path: Path) -> dict[str, list[Any]]:
    lines = chain.from_iterable(read_lines(path))
    rows = [row for line in islice(lines, MAX_ROWS) for row in _object(line)]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _object(line: bytes) -> list[dict[str, Any]]:
    """Return the object in a line; nothing where it holds none, as training does."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return []
    return [row] if isinstance(row, dict) else []
