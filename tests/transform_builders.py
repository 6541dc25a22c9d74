"""Specs and logs for tests of the transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from worker.features import Spec
from worker.records import MISSING, EventBatch

#: One of everything, over windows of seconds so that small logs cross their edges.
EVERYTHING = """
format = 1
name = "everything"
allowed_lateness = "20s"
max_ahead = "5m"
time_zone = "Europe/Brussels"
[event]
transaction_id = "id"
event_time = "time"
[[entity]]
name = "customer"
key = "customer"
[[field]]
name = "id"
type = "text"
[[field]]
name = "time"
type = "time"
[[field]]
name = "customer"
type = "text"
[[field]]
name = "amount"
type = "decimal"
decimals = 2
[[field]]
name = "items"
type = "integer"
required = false
[[field]]
name = "shop"
type = "text"
required = false
[[feature]]
name = "amount"
field = "amount"
[[feature]]
name = "amount_tail"
field = "amount"
clip = [10, 50]
round_to = 5
log = true
[[feature]]
name = "items"
field = "items"
[[feature]]
name = "hour"
calendar = "hour"
[[feature]]
name = "weekday"
calendar = "weekday"
[[feature]]
name = "is_weekend"
calendar = "weekend"
[[feature]]
name = "is_night"
calendar = "night"
[[feature]]
name = "day_of_month"
calendar = "day_of_month"
[[feature]]
name = "month"
calendar = "month"
[[feature]]
name = "count"
entity = "customer"
statistic = "count"
windows = ["10s", "60s"]
[[feature]]
name = "count_before"
entity = "customer"
statistic = "count"
include_current = false
window = "30s"
[[feature]]
name = "count_delayed"
entity = "customer"
statistic = "count"
window = "30s"
delay = "15s"
[[feature]]
name = "amount_sum"
entity = "customer"
statistic = "sum"
of = "amount"
windows = ["10s", "60s"]
[[feature]]
name = "amount_mean"
entity = "customer"
statistic = "mean"
of = "amount"
windows = ["10s", "60s"]
[[feature]]
name = "amount_mean_before"
entity = "customer"
statistic = "mean"
of = "amount"
include_current = false
empty = -1
window = "30s"
[[feature]]
name = "amount_std"
entity = "customer"
statistic = "std"
of = "amount"
windows = ["10s", "60s"]
[[feature]]
name = "amount_std_before"
entity = "customer"
statistic = "std"
of = "amount"
include_current = false
window = "30s"
[[feature]]
name = "amount_max"
entity = "customer"
statistic = "max"
of = "amount"
windows = ["10s", "30s", "60s"]
[[feature]]
name = "amount_max_before"
entity = "customer"
statistic = "max"
of = "amount"
include_current = false
windows = ["10s", "60s"]
[[feature]]
name = "amount_min"
entity = "customer"
statistic = "min"
of = "amount"
windows = ["10s", "60s"]
[[feature]]
name = "amount_min_delayed"
entity = "customer"
statistic = "min"
of = "amount"
window = "30s"
delay = "15s"
[[feature]]
name = "items_mean"
entity = "customer"
statistic = "mean"
of = "items"
window = "60s"
[[feature]]
name = "items_count"
entity = "customer"
statistic = "count"
of = "items"
window = "60s"
[[feature]]
name = "items_max"
entity = "customer"
statistic = "max"
of = "items"
window = "60s"
[[feature]]
name = "items_last"
entity = "customer"
statistic = "last"
of = "items"
empty = 0
window = "60s"
[[feature]]
name = "shops"
entity = "customer"
statistic = "distinct"
of = "shop"
windows = ["10s", "60s"]
[[feature]]
name = "shops_before"
entity = "customer"
statistic = "distinct"
of = "shop"
include_current = false
window = "60s"
[[feature]]
name = "seconds_since_last"
entity = "customer"
statistic = "seconds_since_last"
window = "60s"
[[feature]]
name = "ratio"
ratio = ["amount", "amount_mean_60s"]
decimals = 3
[[feature]]
name = "excess"
difference = ["amount", "amount_mean_before"]
[[feature]]
name = "is_large"
condition = "ratio"
above = 1.2
output = false
[[feature]]
name = "large_count"
entity = "customer"
statistic = "count"
where = "is_large"
windows = ["10s", "60s"]
[[feature]]
name = "large_amount_max"
entity = "customer"
statistic = "max"
of = "amount"
where = "is_large"
window = "60s"
[[feature]]
name = "seconds_since_large"
entity = "customer"
statistic = "seconds_since_last"
where = "is_large"
window = "60s"
[[feature]]
name = "ratio_mean"
entity = "customer"
statistic = "mean"
of = "ratio"
window = "30s"
"""


def everything() -> Spec:
    """A spec with every kind of feature."""
    return Spec.from_toml(EVERYTHING)


Row = tuple[str, int, str, int, int | None, str | None]


def batch_of(rows: Sequence[Row]) -> EventBatch:
    """Events from (id, milliseconds, customer, cents, items, shop)."""
    columns = list(zip(*rows, strict=True)) or [()] * 6
    items = [MISSING if value is None else value for value in columns[4]]
    return EventBatch(
        list(columns[0]),
        np.array(columns[1], np.int64),
        {
            "customer": list(columns[2]),
            "amount": np.array(columns[3], np.int64),
            "items": np.array(items, np.int64),
            "shop": list(columns[5]),
        },
    )
