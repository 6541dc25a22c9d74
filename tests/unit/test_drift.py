"""Values are counted by the bins of the reference, each in exactly one."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.reference_builders import SCORES, reference_of
from worker.drift import SCORE, WINDOWS, Baseline, BinCounter, Reference, slot_counts
from worker.errors import BundleRejected

NAMES = ("amount", "hour")

#: Two bins: from 0 to 1, above 1 to 5.
TWO = Baseline((1.0,), 0.0, 5.0, (3, 1, 0, 0))


@pytest.mark.parametrize(
    ("value", "slot"),
    [
        (0.0, "00"),
        (1.0, "00"),
        (np.nextafter(1.0, 2.0), "01"),
        (5.0, "01"),
        (np.nextafter(5.0, 6.0), "unknown"),
        (-1e-300, "unknown"),
        (np.inf, "unknown"),
        (np.nan, "missing"),
    ],
)
def test_an_edge_belongs_to_the_bin_below_it(value: float, slot: str) -> None:
    counts = slot_counts(np.array([value]), TWO)

    assert dict(zip(TWO.slots, counts.tolist(), strict=True)) == {
        **dict.fromkeys(TWO.slots, 0),
        slot: 1,
    }


def test_a_batch_is_counted_as_numpy_would() -> None:
    random = np.random.default_rng(3)
    reference = reference_of(NAMES)
    X = random.normal(10, 2, (777, 2))
    X[random.random(X.shape) < 0.2] = np.nan
    scores, flagged = random.random(777), random.random(777) < 0.1

    counts = BinCounter(reference).count(X, scores, flagged)

    expected = []
    for values, (_, each) in zip((*X.T, scores), reference.baselines, strict=True):
        edges = [-np.inf, *each.edges, np.inf]
        inside = values[(values >= each.least) & (values <= each.greatest)]
        in_bins = [
            np.count_nonzero((inside > low) & (inside <= high))
            for low, high in pairwise(edges)
        ]
        missing = int(np.isnan(values).sum())
        expected += [*in_bins, missing, len(values) - missing - len(inside)]
    assert counts.cells.tolist() == expected
    assert counts.flagged_score_sum == pytest.approx(scores[flagged].sum(), rel=1e-12)
    assert counts.passed_score_sum == pytest.approx(scores[~flagged].sum(), rel=1e-12)


def test_counts_of_parts_add_up_to_those_of_the_whole() -> None:
    random = np.random.default_rng(4)
    counter = BinCounter(reference_of(NAMES))
    X, scores = random.normal(10, 2, (100, 2)), random.random(100)
    flagged = scores > 0.9

    whole = counter.count(X, scores, flagged)
    parts = [
        counter.count(X[part], scores[part], flagged[part])
        for part in (slice(30), slice(30, 30), slice(30, None))
    ]

    assert whole.cells.tolist() == np.sum([part.cells for part in parts], 0).tolist()


def test_each_cell_is_named_by_feature_and_slot() -> None:
    labels = BinCounter(reference_of(NAMES)).labels

    assert labels[:2] == [("amount", "00"), ("amount", "01")]
    assert labels[10:12] == [("amount", "missing"), ("amount", "unknown")]
    assert labels[-2:] == [(SCORE, "missing"), (SCORE, "unknown")]
    assert len(set(labels)) == len(labels) == 12 + 12 + 5


def test_no_share_is_0_and_all_add_up_to_1() -> None:
    assert TWO.ratios.tolist() == [3.5 / 6, 1.5 / 6, 0.5 / 6, 0.5 / 6]


def test_a_reference_is_read_as_it_was_written() -> None:
    reference = reference_of(NAMES)

    assert Reference.from_json(reference.to_json(), NAMES) == reference


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 2}, "format: only 1 is known"),
        ({"windows_seconds": [60]}, "windows_seconds: must be"),
        ({"flag_ratio": 2}, "flag_ratio: must lie between 0 and 1"),
        ({"more": 1}, "more: unknown key"),
        ({"features": {}}, "features.amount: missing"),
        ({"score": None}, "score: not an object"),
        ({"score": {"edges": [2, 1]}}, "score.edges: must be less than 10"),
        ({"score": {"edges": "no"}}, "score.edges: must be a list of numbers"),
        ({"score": {"counts": [1]}}, "score.counts: must be one for each bin"),
        ({"score": {"counts": []}}, "score.counts: must be one for each bin"),
        ({"score": {"design_effects": [0.5]}}, "score.design_effects: must be one"),
        ({"score": {"min_window_seconds": 7}}, "score.min_window_seconds: must be"),
    ],
)
def test_what_is_wrong_with_a_reference_is_named(
    changes: dict[str, Any], problem: str
) -> None:
    document = json.loads(reference_of(NAMES).to_json())
    for name, value in changes.items():
        is_part = name == "score" and isinstance(value, dict)
        document[name] = {**document[name], **value} if is_part else value

    with pytest.raises(BundleRejected) as rejected:
        Reference.from_json(json.dumps(document).encode(), NAMES)

    assert problem in str(rejected.value)


def test_a_reference_of_other_features_is_refused() -> None:
    raw = reference_of(NAMES).to_json()

    with pytest.raises(BundleRejected, match=r"features\.day: missing"):
        Reference.from_json(raw, ("amount", "hour", "day"))
    with pytest.raises(BundleRejected, match=r"features\.hour: unknown key"):
        Reference.from_json(raw, ("amount",))
    with pytest.raises(BundleRejected, match="was altered"):
        Reference.from_json(raw, ("hour", "amount"))


def test_a_text_that_is_no_reference_is_refused() -> None:
    with pytest.raises(BundleRejected, match="not JSON"):
        Reference.from_json(b"{", NAMES)
    with pytest.raises(BundleRejected, match="was altered"):
        Reference.from_json(b" " + reference_of(NAMES).to_json(), NAMES)


def test_a_score_has_no_name_that_a_feature_may_bear() -> None:
    assert not SCORE.isidentifier()
    assert SCORES.slots == ("00", "01", "02", "missing", "unknown")
    assert len(SCORES.design_effects) == len(WINDOWS)
