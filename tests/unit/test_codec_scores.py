"""Scores are rounded once, decided as published, and written as declared."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.codec_builders import EVENT_TIME_MS
from worker.codec import ScoreEncoder, ScoreReason, published_scores
from worker.errors import BundleRejected
from worker.records import EventBatch


def events(count: int) -> EventBatch:
    ids = [str(number) for number in range(count)]
    return EventBatch(ids, np.arange(count) + EVENT_TIME_MS, {})


def encode(scores: list[float], **options: Any) -> list[dict[str, Any]]:
    none = np.zeros(len(scores), np.bool_)
    encoder = ScoreEncoder(options.pop("threshold", 0.62), "2018-07-31.1")
    flags = [
        np.array(options.pop(n, none)) for n in ("late", "duplicate", "incomplete")
    ]
    values = encoded(encoder, events(len(scores)), np.array(scores), *flags, **options)
    return [json.loads(value) for value in values]


def encoded(
    encoder: ScoreEncoder, batch: EventBatch, scores: Any, *flags: Any, **options: Any
) -> list[bytes]:
    """Decide and encode."""
    decisions = encoder.decide(batch.transaction_ids, scores)
    return encoder.encode(batch, decisions, *flags, **options)


def test_a_score_in_full() -> None:
    none = np.zeros(1, np.bool_)

    (value,) = encoded(
        ScoreEncoder(0.62, "2018-07-31.1"),
        EventBatch(["8412"], np.array([EVENT_TIME_MS]), {}),
        np.array([0.9731]),
        none,
        none,
        none,
    )

    assert value == (
        b'{"transaction_id":"8412","event_time":"2018-07-25T00:00:31Z","score":0.9731,'
        b'"flagged":true,"threshold":0.62,"model_version":"2018-07-31.1"}'
    )


def test_scores_are_published_with_nine_digits() -> None:
    assert [row["score"] for row in encode([0.1234567894999, 1e-10, 1.0, 0.0])] == [
        0.123456789,
        0.0,
        1.0,
        0.0,
    ]


def test_a_score_of_nothing_has_no_sign() -> None:
    assert str(published_scores(np.array([-0.0]))[0]) == "0.0"


def test_the_published_score_decides() -> None:
    just_below = 0.62 - 1e-12

    assert [row["flagged"] for row in encode([just_below, 0.619999999, 0.62])] == [
        True,
        False,
        True,
    ]


def test_the_decision_can_be_asked_for() -> None:
    encoder = ScoreEncoder(0.62, "v")

    _, flagged, group = encoder.decide(["1", "2"], np.array([0.62 - 1e-12, 0.619]))

    assert flagged.tolist() == [True, False]
    assert group is None


def test_who_is_let_through_is_marked_and_who_is_not_names_the_share() -> None:
    """Of these ids the first and the third belong to a group of a quarter."""
    none, ids = np.zeros(4, np.bool_), ["1", "3", "2", "5"]
    batch = EventBatch(ids, np.full(4, EVENT_TIME_MS), {})
    encoder = ScoreEncoder(0.62, "v", 0.25)
    scores = np.array([0.9, 0.9, 0.1, 0.62])

    values = encoded(encoder, batch, scores, none, none, none)
    _, flagged, group = encoder.decide(ids, scores)

    decided = [b'{"flagged":' + v.partition(b'"flagged":')[2] for v in values]
    rest = b',"threshold":0.62,"model_version":"v"'
    share = b',"control_group_share":0.25}'
    through = b'{"flagged":false' + rest + b',"control_group":true' + share
    assert decided == [
        through,
        b'{"flagged":true' + rest + share,
        b'{"flagged":false' + rest + b"}",
        through,
    ]
    assert flagged.tolist() == [False, True, False, False]
    assert group is not None
    assert group.tolist() == [True, False, False, True]


def test_without_a_share_no_score_says_anything_of_a_group() -> None:
    assert encode([0.9])[0].keys().isdisjoint({"control_group", "control_group_share"})


def test_flags_are_written_where_there_are_any_in_one_order() -> None:
    bits = np.arange(8)
    rows = encode(
        [0.5] * 8, late=bits & 1 > 0, duplicate=bits & 2 > 0, incomplete=bits & 4 > 0
    )

    assert [row.get("flags") for row in rows] == [
        None,
        ["late"],
        ["duplicate"],
        ["late", "duplicate"],
        ["state_incomplete"],
        ["late", "state_incomplete"],
        ["duplicate", "state_incomplete"],
        ["late", "duplicate", "state_incomplete"],
    ]


def test_reasons_are_written_where_they_are_given() -> None:
    reasons = [
        [
            ScoreReason("amount", 57.16, 1.5, "amount: 57.16"),
            ScoreReason("amount_mean", None, 0.25, "mean amount: none"),
        ],
        None,
    ]

    first, second = encode([0.9, 0.1], reasons=reasons)

    assert first["reasons"] == [
        {
            "feature": "amount",
            "value": 57.16,
            "contribution": 1.5,
            "text": "amount: 57.16",
        },
        {
            "feature": "amount_mean",
            "value": None,
            "contribution": 0.25,
            "text": "mean amount: none",
        },
    ]
    assert "reasons" not in second


@pytest.mark.parametrize(
    "text", ["\n", '"', "\\", "\x00", "é", "😀", "\u2028", "a\nb\n"]
)
def test_ids_of_any_text_stay_on_their_row(text: str) -> None:
    none = np.zeros(3, np.bool_)
    batch = EventBatch(["1", text, "3"], np.full(3, EVENT_TIME_MS), {})

    values = encoded(ScoreEncoder(0.5, "v"), batch, np.zeros(3), none, none, none)

    assert [json.loads(value)["transaction_id"] for value in values] == ["1", text, "3"]


@pytest.mark.parametrize(
    "score", [float("nan"), float("inf"), -float("inf"), -1e-8, 1.00000001]
)
def test_what_is_no_probability_is_never_published(score: float) -> None:
    with pytest.raises(BundleRejected, match=r"model 2018-07-31\.1"):
        encode([0.5, score])


def test_no_events_are_no_values() -> None:
    assert encode([]) == []
