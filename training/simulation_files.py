"""A simulation as files: transactions and labels, as Parquet, JSON lines or CSV.

A label is written for each fraud and for nothing else: a payment that nobody confirms
as a fraud is genuine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.simulate import Integers, Simulation
from training.simulate_cards import CATEGORIES, CardsSimulation

AnySimulation = Simulation | CardsSimulation
FileFormat = Literal["parquet", "jsonl", "csv"]

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
    _write(transaction_table(simulation), transactions)
    _write(label_table(simulation), labels)
    return transactions, labels


def transaction_table(simulation: AnySimulation) -> pa.Table:
    """Columns transaction_id, event_time, customer_id, terminal_id, amount.

    Of cards: transaction_id, event_time, card_id, merchant_id, category, amount, the
    coordinates of home and merchant, date_of_birth.
    """
    rows = np.arange(len(simulation))
    if isinstance(simulation, CardsSimulation):
        return _cards_table(simulation)
    amount = pa.array(simulation.amount_cents / 100)
    return _identity(simulation, rows).append_column("amount", amount)


def _cards_table(simulation: CardsSimulation) -> pa.Table:
    card, merchant = simulation.card, simulation.merchant
    names = np.array([name for name, _, _ in CATEGORIES])
    columns = {
        "category": pa.array(names[simulation.categories[merchant]]),
        "amount": pa.array(simulation.amount_cents / 100),
        "home_latitude": pa.array(simulation.homes[card, 0]),
        "home_longitude": pa.array(simulation.homes[card, 1]),
        "merchant_latitude": pa.array(simulation.places[merchant, 0]),
        "merchant_longitude": pa.array(simulation.places[merchant, 1]),
        "date_of_birth": pa.array(simulation.born[card].astype("datetime64[D]")),
    }
    table = _identity(simulation, np.arange(len(simulation)))
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def label_table(simulation: AnySimulation) -> pa.Table:
    """Identifying columns, fraud (always true) and label_time of the frauds."""
    rows = np.flatnonzero(simulation.fraud)
    label_time = pa.array(simulation.label_time_ms[rows]).cast(_TIME)
    return (
        _identity(simulation, rows)
        .append_column("fraud", pa.array(np.ones(len(rows), bool)))
        .append_column("label_time", label_time)
    )


#: Times carry their zone, so that no reader has to guess.
_TIME = pa.timestamp("ms", tz="UTC")


def _identity(simulation: AnySimulation, rows: Integers) -> pa.Table:
    if isinstance(simulation, CardsSimulation):
        keys = {"card_id": simulation.card, "merchant_id": simulation.merchant}
    else:
        keys = {"customer_id": simulation.customer, "terminal_id": simulation.terminal}
    return pa.table(
        {
            "transaction_id": pa.array(rows).cast(pa.string()),
            "event_time": pa.array(simulation.event_time_ms[rows]).cast(_TIME),
            **{name: pa.array(n[rows]).cast(pa.string()) for name, n in keys.items()},
        }
    )


def _write(table: pa.Table, path: Path) -> None:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, compression="zstd")
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(_with_time_texts(table), path)
    else:
        with path.open("wb") as file:
            file.writelines(_json_lines(_with_time_texts(table)))


def _with_time_texts(table: pa.Table) -> pa.Table:
    """Times as RFC 3339 in UTC, without milliseconds, of which there are none."""
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            milliseconds = table.column(index).cast(pa.int64()).to_numpy()
            texts = np.datetime_as_string(milliseconds.astype("M8[ms]"), unit="s")
            column = pa.array(np.char.add(texts, "Z"))
            table = table.set_column(index, field.name, column)
    return table


def _json_lines(table: pa.Table) -> Iterator[bytes]:
    for batch in table.to_batches(_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


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
