"""A spec with two entities and labels, and labels for tests of the transform."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.oracle import Label
from worker.features.merging import NEW
from worker.records import LabelBatch

#: Every statistic over labels, plain and over a condition, in windows of seconds.
WITH_LABELS = """
format = 1
name = "with-labels"
allowed_lateness = "20s"
[event]
transaction_id = "id"
event_time = "time"
[[entity]]
name = "customer"
key = "customer"
[[entity]]
name = "shop"
key = "shop"
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
name = "shop"
type = "text"
[[field]]
name = "amount"
type = "decimal"
decimals = 2
[[feature]]
name = "amount"
field = "amount"
[[feature]]
name = "customer_mean"
entity = "customer"
statistic = "mean"
of = "amount"
window = "60s"
output = false
[[feature]]
name = "customer_count"
entity = "customer"
statistic = "count"
window = "60s"
output = false
[[feature]]
name = "shrunk"
shrunk_mean = ["customer_mean", "customer_count"]
prior = 4.5
strength = 2
clip = [1, 8]
round_to = 0.5
output = false
[[feature]]
name = "ratio"
ratio = ["amount", "shrunk"]
decimals = 3
[[feature]]
name = "is_plain"
condition = "ratio"
below = 1.0
output = false
[[feature]]
name = "shop_count"
entity = "shop"
statistic = "count"
windows = ["10s", "60s"]
[[feature]]
name = "frauds"
entity = "shop"
statistic = "fraud_count"
windows = ["10s", "60s"]
delay = "15s"
[[feature]]
name = "fraud_rate"
entity = "shop"
statistic = "fraud_rate"
window = "60s"
delay = "15s"
empty = 0
[[feature]]
name = "last_label"
entity = "shop"
statistic = "last_label"
window = "60s"
delay = "15s"
[[feature]]
name = "seconds_since_fraud"
entity = "shop"
statistic = "seconds_since_fraud"
window = "60s"
delay = "5s"
[[feature]]
name = "streak"
entity = "shop"
statistic = "fraud_streak"
window = "60s"
delay = "5s"
[[feature]]
name = "streak_seconds"
entity = "shop"
statistic = "fraud_streak_seconds"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_frauds"
entity = "shop"
statistic = "fraud_count"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_rate"
entity = "shop"
statistic = "fraud_rate"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_last"
entity = "shop"
statistic = "last_label"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_streak"
entity = "shop"
statistic = "fraud_streak"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_streak_seconds"
entity = "shop"
statistic = "fraud_streak_seconds"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "plain_seconds"
entity = "shop"
statistic = "seconds_since_fraud"
where = "is_plain"
window = "60s"
delay = "5s"
[[feature]]
name = "risk_above_amount"
ratio = ["fraud_rate", "amount"]
"""

#: The first entity's windows look at labels too, so a stage without state goes before.
ROUTED = (
    WITH_LABELS
    + """
[[feature]]
name = "customer_frauds"
entity = "customer"
statistic = "fraud_count"
window = "60s"
delay = "5s"
"""
)


def batch_of_labels(
    labels: Sequence[Label], offsets: Sequence[int] | None = None
) -> LabelBatch:
    """Labels as the transform takes them."""
    return LabelBatch(
        [label.identity for label in labels],
        np.array([label.time_ms for label in labels], np.int64),
        [label.key for label in labels],
        np.array([label.fraud for label in labels], np.bool_),
        np.array([label.label_time_ms for label in labels], np.int64),
        np.array([label.before for label in labels], np.int64),
        np.array([NEW] * len(labels) if offsets is None else offsets, np.int64),
    )
