"""A simulation as files: transactions and labels, as Parquet, JSON lines or CSV.

A label is written for each fraud and for nothing else: a payment that nobody confirms
as a fraud is genuine. JSON lines need no pyarrow, which a worker's image does without.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from training.simulate import Integers, Simulation
from training.simulate_cards import CATEGORIES, CardsSimulation

if TYPE_CHECKING:
    import pyarrow as pa

AnySimulation = Simulation | CardsSimulation
FileFormat = Literal["parquet", "jsonl", "csv"]

#: Of a file, by name; numbers that are names, and dates, as they are written.
Columns = Mapping[str, NDArray[Any]]

#: Rows turned into JSON at once.
_ROWS_AT_ONCE = 65_536


def write_simulation(
    simulation: AnySimulation,
    directory: Path,
    *,
    file_format: FileFormat = "parquet",
) -> tuple[Path, Path]:
    """Write `transactions` and `labels` and return their paths; existing ones go.

    The same simulation gives the same bytes (with the same version of pyarrow).
    """
    directory.mkdir(parents=True, exist_ok=True)
    transactions = directory / f"transactions.{file_format}"
    labels = directory / f"labels.{file_format}"
    _write(transaction_columns(simulation), transactions)
    _write(label_columns(simulation), labels)
    return transactions, labels


def transaction_columns(simulation: AnySimulation) -> Columns:
    """Columns transaction_id, event_time, customer_id, terminal_id, amount.

    Of cards: transaction_id, event_time, card_id, merchant_id, category, amount, the
    coordinates of home and merchant, date_of_birth.
    """
    rows = np.arange(len(simulation))
    own = {"amount": simulation.amount_cents / 100}
    if isinstance(simulation, CardsSimulation):
        own = _of_cards(simulation)
    return {**_identity(simulation, rows), **own}


def _of_cards(simulation: CardsSimulation) -> dict[str, NDArray[Any]]:
    card, merchant = simulation.card, simulation.merchant
    names = np.array([name for name, _, _ in CATEGORIES])
    return {
        "category": names[simulation.categories[merchant]],
        "amount": simulation.amount_cents / 100,
        "home_latitude": simulation.homes[card, 0],
        "home_longitude": simulation.homes[card, 1],
        "merchant_latitude": simulation.places[merchant, 0],
        "merchant_longitude": simulation.places[merchant, 1],
        "date_of_birth": simulation.born[card].astype("datetime64[D]"),
    }


def label_columns(simulation: AnySimulation) -> Columns:
    """Identifying columns, fraud (always true) and label_time of the frauds."""
    rows = np.flatnonzero(simulation.fraud)
    return {
        **_identity(simulation, rows),
        "fraud": np.ones(len(rows), np.bool_),
        "label_time": simulation.label_time_ms[rows].astype("M8[ms]"),
    }


def _identity(simulation: AnySimulation, rows: Integers) -> dict[str, NDArray[Any]]:
    if isinstance(simulation, CardsSimulation):
        keys = {"card_id": simulation.card, "merchant_id": simulation.merchant}
    else:
        keys = {"customer_id": simulation.customer, "terminal_id": simulation.terminal}
    return {
        "transaction_id": rows.astype("U"),
        "event_time": simulation.event_time_ms[rows].astype("M8[ms]"),
        **{name: numbers[rows].astype("U") for name, numbers in keys.items()},
    }


def _write(columns: Columns, path: Path) -> None:
    if path.suffix == ".jsonl":
        with path.open("wb") as file:
            file.writelines(_json_lines(columns))
    elif path.suffix == ".csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(table_of(_with_time_texts(columns)), path)
    else:
        import pyarrow.parquet

        pyarrow.parquet.write_table(table_of(columns), path, compression="zstd")


def table_of(columns: Columns) -> pa.Table:
    """Return columns as a table; times carry their zone, for nobody to guess."""
    import pyarrow as pa

    utc = pa.timestamp("ms", tz="UTC")
    return pa.table(
        {
            name: pa.array(values, utc if values.dtype == "M8[ms]" else None)
            for name, values in columns.items()
        }
    )


def _with_time_texts(columns: Columns) -> Columns:
    """Times as RFC 3339 in UTC, without milliseconds, of which there are none."""
    return {
        name: np.char.add(np.datetime_as_string(values, unit="s"), "Z")
        if values.dtype == "M8[ms]"
        else values
        for name, values in columns.items()
    }


def _json_lines(columns: Columns) -> Iterator[bytes]:
    for first in range(0, len(columns["transaction_id"]), _ROWS_AT_ONCE):
        part = {n: v[first : first + _ROWS_AT_ONCE] for n, v in columns.items()}
        lists = [values.tolist() for values in _with_time_texts(part).values()]
        for row in zip(*lists, strict=True):
            record = dict(zip(columns, row, strict=True))
            yield orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def describe(simulation: AnySimulation) -> str:
    """One sentence: how many payments, frauds, customers and days."""
    frauds = int(simulation.fraud.sum())
    customers = len(np.unique(simulation.customer))
    who = "cards" if isinstance(simulation, CardsSimulation) else "customers"
    count = len(simulation)
    if count == 0:
        return "no payments at all"
    first, last = simulation.event_time_ms[[0, -1]] / 1_000
    return (
        f"{count:,} payments of {customers:,} {who}, "
        f"{dt.datetime.fromtimestamp(first, dt.UTC):%Y-%m-%d} to "
        f"{dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%d}, "
        f"{frauds:,} of them frauds ({frauds / count:.2%})"
    )
