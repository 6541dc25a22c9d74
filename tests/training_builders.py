"""Small histories, files and simulations for tests of training."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from training.dataset import read_dataset
from training.labels import label_history, read_labels
from training.simulate import Simulation, SimulationPlan, simulate
from training.simulation_files import label_columns, table_of, transaction_columns
from training.split import DAY_MS, LabelledHistory
from worker.features import Spec
from worker.records import EventBatch

#: 2018-04-01, a midnight in UTC.
START_MS = 1_522_540_800_000

SPEC = """
format = 1
name = "small"
allowed_lateness = "1h"
max_ahead = "5m"
time_zone = "UTC"
[event]
transaction_id = "transaction_id"
event_time = "event_time"
[[entity]]
name = "customer"
key = "customer_id"
[[field]]
name = "transaction_id"
type = "text"
[[field]]
name = "event_time"
type = "time"
[[field]]
name = "customer_id"
type = "text"
[[field]]
name = "amount"
type = "decimal"
decimals = 2
minimum = 0
maximum = 100_000
[[field]]
name = "items"
type = "integer"
required = false
[[field]]
name = "online"
type = "boolean"
required = false
[[feature]]
name = "amount"
field = "amount"
[[feature]]
name = "amount_tail"
field = "amount"
clip = [150, 1000]
round_to = 5
[[feature]]
name = "customer_transaction_count_1d"
entity = "customer"
statistic = "count"
window = "1d"
[[feature]]
name = "customer_amount_mean_7d"
entity = "customer"
statistic = "mean"
of = "amount"
window = "7d"
include_current = false
"""


def small_spec() -> Spec:
    return Spec.from_toml(SPEC)


def payments(count: int = 4) -> list[dict[str, Any]]:
    """Records as a stream has them: one an hour, customers 1 and 2 in turn."""
    return [
        {
            "transaction_id": str(100 + i),
            "event_time": f"2018-04-01T{i:02}:00:00Z",
            "customer_id": str(1 + i % 2),
            "amount": 10.25 + i,
            "items": i,
            "online": i % 2 == 0,
        }
        for i in range(count)
    ]


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Write records in the format that the path's name says."""
    plain = path.name.removesuffix(".gz")
    if plain.endswith(".jsonl"):
        raw = "".join(json.dumps(record) + "\n" for record in records).encode()
    else:
        table = pa.Table.from_pylist([dict(record) for record in records])
        sink = pa.BufferOutputStream()
        if plain.endswith(".csv"):
            pyarrow.csv.write_csv(table, sink)
        else:
            pyarrow.parquet.write_table(table, sink)
        raw = sink.getvalue().to_pybytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def history_of(
    rows: Sequence[tuple[int, int, bool]], *, delay_ms: int = 7 * DAY_MS
) -> LabelledHistory:
    """(time, customer, fraud) as a history, in order of time."""
    times, customers, frauds = (np.array(column) for column in zip(*rows, strict=True))
    return LabelledHistory(
        times.astype(np.int64),
        customers.astype(np.int64),
        frauds.astype(np.bool_),
        times.astype(np.int64) + delay_ms,
    )


@cache
def small_simulation() -> Simulation:
    """About 45,000 payments of 400 customers in 60 days, with many frauds."""
    return simulate(
        SimulationPlan(
            customers=400,
            terminals=800,
            days=60,
            fraud_customer_rate=0.005,
            fraud_terminal_rate=0.0005,
        )
    )


def write_small_simulation(directory: Path) -> tuple[Path, Path]:
    """Write its transactions and labels as Parquet."""
    transactions = directory / "transactions.parquet"
    labels = directory / "labels.parquet"
    for path, columns in (
        (transactions, transaction_columns(small_simulation())),
        (labels, label_columns(small_simulation())),
    ):
        pyarrow.parquet.write_table(table_of(columns), path)
    return transactions, labels


def small_history(directory: Path, spec: Spec) -> tuple[EventBatch, LabelledHistory]:
    """Read it back as training would."""
    transactions, labels = write_small_simulation(directory)
    events = read_dataset(transactions, spec).events
    read = read_labels(labels, spec.schema, names={})
    history, _ = label_history(events, read, spec.schema, label_delay_ms=7 * DAY_MS)
    return events, history
