"""The control group is the same everywhere, and the audit knows who belongs to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audited import counts
from tests.audited_stream import audit_stream
from tests.doctored import altered_score
from tests.small_models import small_model
from tests.streams import payments, right_answers
from worker.codec import ScoreEncoder, is_member
from worker.codec.control_group import members
from worker.pipeline import pick
from worker.records import Output, RecordBatch
from worker.scoring import LoadedModel

SHARES = st.floats(0, 1)
IDS = st.text(min_size=1, max_size=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Of its scores about a third reach the threshold."""
    return small_model(tmp_path_factory.mktemp("models"), threshold=0.5)


@pytest.fixture(scope="module")
def log() -> RecordBatch:
    return payments(400)


def fields_of(output: Output) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(output.value or b"")
    return fields


# Who belongs to it


def test_members_are_the_same_in_every_version_of_the_software() -> None:
    """What was published years ago must still be found right."""
    found = [number for number in range(100) if is_member(str(number), 0.1)]

    assert found == [25, 27, 28, 39, 58, 71, 85, 96, 97]


@given(IDS, SHARES, SHARES)
def test_a_larger_group_holds_every_smaller_one(
    transaction_id: str, one: float, other: float
) -> None:
    small, large = sorted((one, other))

    assert is_member(transaction_id, small) <= is_member(transaction_id, large)


@given(IDS)
def test_nobody_belongs_to_no_group_and_everybody_to_the_whole(
    transaction_id: str,
) -> None:
    assert [is_member(transaction_id, share) for share in (0.0, 1.0)] == [False, True]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.9])
def test_a_share_is_that_share_of_numbered_payments(share: float) -> None:
    """Within four standard deviations of a fair draw."""
    count = 40_000
    found = int(members(map(str, range(count)), share).sum())

    assert abs(found - share * count) < 4 * (count * share * (1 - share)) ** 0.5


@given(st.lists(st.tuples(IDS, st.floats(0, 1)), max_size=30), SHARES, SHARES)
def test_every_score_is_flagged_or_let_through_or_below(
    payments_scored: list[tuple[str, float]], share: float, threshold: float
) -> None:
    ids = [transaction_id for transaction_id, _ in payments_scored]
    scores = np.array([score for _, score in payments_scored])
    _, without, _ = ScoreEncoder(threshold, "v").decide(ids, scores)
    _, flagged, group = ScoreEncoder(threshold, "v", share).decide(ids, scores)

    through = np.zeros(len(ids), np.bool_) if group is None else group
    assert (flagged | through).tolist() == without.tolist()
    assert not (flagged & through).any()
    assert [
        is_member(i, share) for i, f in zip(ids, without, strict=True) if f
    ] == through[without].tolist()


# What the audit says


def answers(model: LoadedModel, log: RecordBatch, share: float) -> list[Output]:
    return right_answers(model, log, control_group_share=share)


@given(SHARES, SHARES, st.integers(0, 400))
def test_a_share_that_changes_in_the_middle_is_right(
    model: LoadedModel, log: RecordBatch, before: float, after: float, at: int
) -> None:
    outputs = answers(model, log, before)[:at] + answers(model, log, after)[at:]

    report = audit_stream([model], log, outputs)

    assert counts(report) == {}
    assert report.compared == len(log)


def test_a_share_that_was_never_in_force_is_different(
    model: LoadedModel, log: RecordBatch
) -> None:
    outputs = answers(model, log, 0.25)[:200] + answers(model, log, 0.5)[200:]
    of_share = [b"control_group_share" in (o.value or b"") for o in outputs]

    known = audit_stream([model], log, outputs, shares=[0.25, 0.5])
    half_known = audit_stream([model], log, outputs, shares=[0.25])
    unknown = audit_stream([model], log, outputs, shares=[0.0])

    assert counts(known) == {}
    assert counts(half_known) == {"different": sum(of_share[200:])}
    assert counts(unknown) == {"different": sum(of_share)}


def test_that_there_was_none_is_different_where_there_was_one(
    model: LoadedModel, log: RecordBatch
) -> None:
    outputs = answers(model, log, 0.0)
    flagged = sum(b'"flagged":true' in (o.value or b"") for o in outputs)

    report = audit_stream([model], log, outputs, shares=[0.25])

    assert flagged > 30
    assert counts(report) == {"different": flagged}


def test_a_threshold_and_a_share_may_change_together(
    model: LoadedModel, log: RecordBatch
) -> None:
    lower = replace(model, threshold=0.3)
    outputs = answers(model, log, 0.25)[:200] + answers(lower, log, 0.5)[200:]

    assert counts(audit_stream([model], log, outputs, thresholds=[0.3])) == {}


#: Alterations of a score, by whether it reached the threshold and is let through.
Lie = tuple[Callable[[dict[str, Any]], bool], dict[str, Any]]


def is_through(score: dict[str, Any]) -> bool:
    return "control_group" in score


def is_flagged(score: dict[str, Any]) -> bool:
    return bool(score["flagged"])


def is_below(score: dict[str, Any]) -> bool:
    return not is_through(score) and not is_flagged(score)


LIES: dict[str, Lie] = {
    "a mark on one that does not belong": (
        is_flagged,
        {"flagged": False, "control_group": True},
    ),
    "a mark on one that stays flagged": (is_flagged, {"control_group": True}),
    "a mark below the threshold": (is_below, {"control_group": True}),
    "a mark and a share below it": (
        is_below,
        {"control_group": True, "control_group_share": 0.25},
    ),
    "a share below it": (is_below, {"control_group_share": 0.25}),
    "a mark that is gone": (is_through, {"control_group": None}),
    "one that is flagged all the same": (
        is_through,
        {"flagged": True, "control_group": None},
    ),
    "flagged and marked": (is_through, {"flagged": True}),
    "not flagged, without a mark": (is_flagged, {"flagged": False}),
    "another share": (is_flagged, {"control_group_share": 1.0}),
    "a share that is gone": (is_through, {"control_group_share": None}),
    "a share that is none": (is_through, {"control_group_share": 1.5}),
    "a share of less than nothing": (is_through, {"control_group_share": -1}),
    "a share in words": (is_through, {"control_group_share": "0.25"}),
    "a mark in words": (is_through, {"control_group": "true"}),
    "a mark as a number": (is_through, {"control_group": 1}),
    "a mark that says no": (is_flagged, {"control_group": False}),
    "a share of 0": (is_through, {"control_group_share": 0}),
}


@pytest.mark.parametrize("name", LIES)
def test_no_lie_about_the_group_gets_past_the_audit(
    model: LoadedModel, log: RecordBatch, name: str
) -> None:
    outputs = answers(model, log, 0.25)
    is_meant, changes = LIES[name]
    rows = [
        row
        for row, output in enumerate(outputs)
        if output.topic == "scores" and is_meant(fields_of(output))
    ]
    assert len(rows) > 3
    for row in rows[:3]:
        outputs[row] = altered_score(**changes)(outputs[row])

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 3}


@given(st.integers(1, 399), SHARES)
def test_however_a_log_is_cut_the_same_payments_are_let_through(
    model: LoadedModel, log: RecordBatch, cut: int, share: float
) -> None:
    """A restart, a replay or another worker changes nothing."""
    whole = answers(model, log, share)
    head = answers(model, pick(log, range(cut)), share)

    assert [o.value for o in head] == [o.value for o in whole[: len(head)]]
