"""Stages, one behind the other, compute what training computes of one log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.label_builders import ROUTED, WITH_LABELS
from tests.small_models import small_model
from tests.staged import golden_log
from tests.staged_memory import NAMES, StagedHistory, StagesInMemory, staged_history
from worker.codec import parse_dead_letter, parse_origin
from worker.codec.scores import published_scores
from worker.features import Spec, row_digests
from worker.records import Output, Reason
from worker.scoring import LoadedModel

HISTORY = staged_history(150)


@pytest.fixture(scope="module", params=[WITH_LABELS, ROUTED], ids=["stages", "routed"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LoadedModel:
    directory = tmp_path_factory.mktemp("models")
    return small_model(directory, spec_text=request.param, golden=golden_log())


def fed(
    model: LoadedModel, history: StagedHistory, partitions: int
) -> tuple[StagesInMemory, list[tuple[int, int]]]:
    """The stages behind a history, and the places of its payments."""
    stages = StagesInMemory(model, partitions)
    places = []
    for topic, key, value in history.lines(model.spec):
        place = stages.feed(topic, key, value)
        if topic == NAMES.transactions:
            places.append(place)
    return stages, places


def origin_of(output: Output) -> tuple[tuple[int, int], int]:
    origin = parse_origin(dict(output.headers)["origin"] or b"")
    assert origin.partition == output.partition
    return (origin.partition, origin.offset), origin.digest


@pytest.mark.parametrize("partitions", [1, 3])
def test_features_and_scores_are_those_of_training(
    model: LoadedModel, partitions: int
) -> None:
    rows = HISTORY.rows(model.spec)

    stages, places = fed(model, HISTORY, partitions)

    digests = row_digests(rows.X).tolist()
    scores = published_scores(model.scorer.score(rows.X)).tolist()
    assert {output.topic for output in stages.published} == {NAMES.scores}
    assert [origin_of(output) for output in stages.published] == list(
        zip(places, digests, strict=True)
    )
    values = [json.loads(output.value or b"") for output in stages.published]
    assert [value["score"] for value in values] == scores
    assert [v["transaction_id"] for v in values] == [p["id"] for p in HISTORY.payments]


def test_labels_matter(model: LoadedModel) -> None:
    without = StagedHistory(HISTORY.payments, [])

    assert (HISTORY.rows(model.spec).X != without.rows(model.spec).X).any()


def test_scores_have_the_key_and_partition_of_their_payment(model: LoadedModel) -> None:
    stages, places = fed(model, HISTORY, 3)

    assert [output.partition for output in stages.published] == [p for p, _ in places]
    assert [output.key for output in stages.published] == [
        payment["customer"].encode() for payment in HISTORY.payments
    ]


def test_what_is_no_payment_or_no_label_is_a_dead_letter_of_its_stage(
    model: LoadedModel,
) -> None:
    stages = StagesInMemory(model, 2)
    first = "route" if stages.topology.is_routed else "customer"

    stages.feed(NAMES.transactions, b"c1", b"{")
    stages.feed(NAMES.labels, b"any", b'{"id":"1"}')

    letters = [parse_dead_letter(output.headers) for output in stages.published]
    assert {output.topic for output in stages.published} == {NAMES.dead_letters}
    assert [(x.stage, x.origin.topic, x.reason) for x in letters] == [
        (first, NAMES.transactions, Reason.NOT_JSON),
        ("labels", NAMES.labels, Reason.MISSING_FIELD),
    ]


def test_only_logs_that_are_folded_leave_state_behind(model: LoadedModel) -> None:
    stages, _ = fed(model, HISTORY, 2)

    folded = {
        place.topic
        for place, state in stages.states.items()
        if state.watermark_ms is not None
    }
    assert folded == set(stages.topology.stages)


@pytest.mark.parametrize("has_key", [True, False])
def test_payments_with_other_keys_are_brought_to_their_customer(
    tmp_path: Path, *, has_key: bool
) -> None:
    text = WITH_LABELS.replace('name = "with-labels"', 'name = "r"\nrekey = true')
    model = small_model(tmp_path, spec_text=text, golden=golden_log())
    rows = HISTORY.rows(model.spec)
    stages = StagesInMemory(model, 3)
    places: list[tuple[int, int]] = []
    for topic, _, value in HISTORY.lines(model.spec):
        key = b"\xff%d" % len(places) if has_key else b""
        place = stages.feed(topic, key, value)
        if topic == NAMES.transactions:
            places.append(place)

    assert [origin_of(output) for output in stages.published] == list(
        zip(places, row_digests(rows.X).tolist(), strict=True)
    )
    assert [output.key for output in stages.published] == [
        payment["customer"].encode() for payment in HISTORY.payments
    ]
    other = Spec.from_toml(WITH_LABELS)
    assert model.spec.state_fingerprint == other.state_fingerprint


def test_neither_the_future_nor_a_young_label_changes_an_answer(
    model: LoadedModel,
) -> None:
    """Two streams that are one up to a moment, and after it have nothing in common."""
    lines = list(HISTORY.lines(model.spec))
    moment = len(lines) // 2
    stages, others = StagesInMemory(model, 3), StagesInMemory(model, 3)
    for i, (topic, key, value) in enumerate(lines):
        stages.feed(topic, key, value)
        others.feed(topic, key, value if i < moment else _corrupted(value))

    past = sum(topic == NAMES.transactions for topic, _, _ in lines[:moment])
    assert stages.published[:past] == others.published[:past]
    assert len(stages.published) > past
    assert stages.published != others.published


def _corrupted(line: bytes) -> bytes:
    """Another amount, or the opposite label."""
    fields = json.loads(line)
    if "fraud" in fields:
        fields["fraud"] = not fields["fraud"]
    else:
        fields["amount"] = 1 + fields["amount"] * 3
    return json.dumps(fields).encode()
