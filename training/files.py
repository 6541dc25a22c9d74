"""Files of transactions and labels: which formats there are, and which columns.

Owns the opening of Parquet and CSV files. Knows nothing of what the values mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.columns import RawColumn, raw_column
from worker.errors import InvalidConfig
from worker.records import Field

FileKind = Literal["parquet", "csv", "jsonl"]

_KINDS: Mapping[str, FileKind] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns of a file by the names of the fields that they stand for.

    Attributes
    ----------
    types
        What the file says a column is, for people.
    notices
        What was assumed about the file, one sentence each.
    """

    columns: Mapping[str, RawColumn]
    types: Mapping[str, str]
    notices: list[str] = field(default_factory=list)


def kind_of(path: Path) -> FileKind:
    """Tell the format of a file by its name; CSV and JSON may be gzipped.

    Raises
    ------
    InvalidConfig
        Where the file does not exist, or its name says nothing.
    """
    name = path.name.removesuffix(".gz")
    kind = _KINDS.get(Path(name).suffix.lower())
    if kind is None or (kind == "parquet" and name != path.name):
        known = ", ".join([*_KINDS, ".csv.gz", ".jsonl.gz"])
        raise InvalidConfig([f"{path}: the name must end in one of {known}"])
    if not path.is_file():
        raise InvalidConfig([f"{path}: there is no such file"])
    return kind


def read_columns(
    path: Path, fields: Sequence[Field], names: Mapping[str, str]
) -> RawTable:
    """Read the columns that stand for some fields; optional ones may be absent.

    Parameters
    ----------
    names
        Field to column, where they differ.

    Raises
    ------
    InvalidConfig
        Naming every column that is missing, or saying why the file cannot be read.
    """
    try:
        present = column_names(path)
        wanted = _present_columns(path, fields, names, present)
        table, notices = _read_table(path, wanted)
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidConfig([f"{path} cannot be read: {error}"]) from error
    columns = {
        declared.name: raw_column(
            table.column(wanted[declared.name]), declared, notices
        )
        for declared in fields
        if declared.name in wanted
    }
    types = {name: str(table.schema.field(wanted[name]).type) for name in columns}
    if kind_of(path) == "csv":
        types = dict.fromkeys(columns, "text")
    return RawTable(columns, types, notices)


def column_names(path: Path) -> list[str]:
    """Return the names of the columns of a Parquet or CSV file."""
    if kind_of(path) == "parquet":
        return list(pyarrow.parquet.read_schema(path).names)
    lenient = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _row: "skip")
    with pyarrow.csv.open_csv(path, parse_options=lenient) as reader:
        return list(reader.schema.names)


def _present_columns(
    path: Path, fields: Sequence[Field], names: Mapping[str, str], present: list[str]
) -> dict[str, str]:
    """Field to column of those that the file has."""
    wanted = {f.name: names.get(f.name, f.name) for f in fields}
    problems = [
        f"{path} has no column {wanted[f.name]!r} for the field {f.name!r}; it has: "
        f"{', '.join(present)}. Say which one it is: --column {f.name}=NAME"
        for f in fields
        if f.required and wanted[f.name] not in present
    ]
    if problems:
        raise InvalidConfig(problems, subject="file")
    return {name: column for name, column in wanted.items() if column in present}


def _read_table(path: Path, wanted: Mapping[str, str]) -> tuple[pa.Table, list[str]]:
    columns = list(dict.fromkeys(wanted.values()))
    if kind_of(path) == "parquet":
        return pyarrow.parquet.read_table(path, columns=columns), []
    skipped: list[str] = []

    def skip(_row: Any) -> str:
        skipped.append("row")
        return "skip"

    # All as text: an id such as 00123 must not lose its zeros to a guess.
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    notices = [f"{len(skipped):,} rows have another number of columns: left out"]
    return table, notices if skipped else []
