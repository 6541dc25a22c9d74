"""Whatever is altered in an answer is found, and named without showing it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.audited import counts
from tests.audited_stream import audit_stream
from tests.doctored import (
    Alter,
    altered_reason,
    altered_score,
    flip_decision,
    flip_digest,
    with_header,
)
from tests.small_models import ONE_ENTITY, small_model
from tests.streams import FIRST_MS, HOUR_MS, payments, right_answers
from worker.audit.fold import FoldStart
from worker.audit.report import AuditReport, Finding
from worker.codec import origin_header
from worker.records import Output, RecordBatch
from worker.scoring import LoadedModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return small_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def log() -> RecordBatch:
    return payments(400)


@pytest.fixture
def outputs(model: LoadedModel, log: RecordBatch) -> list[Output]:
    return right_answers(model, log)


def alter_one(outputs: list[Output], topic: str, alter: Alter) -> None:
    row = [i for i, output in enumerate(outputs) if output.topic == topic][7]
    outputs[row] = alter(outputs[row])


def only_what(report: AuditReport) -> str:
    (example,) = report.examples
    return example.what


def test_what_the_pipeline_publishes_is_right(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    report = audit_stream([model], log, outputs)

    assert counts(report) == {}
    assert report.is_clean()
    assert report.events == report.compared == len(log)
    assert report.dead_letters > 20
    assert b'"flags":["late"]' in b"".join(o.value or b"" for o in outputs)


@pytest.mark.parametrize(
    ("alter", "what"),
    [
        (altered_score(score=0.123456789), "score"),
        (altered_score(score=True), "score"),
        (altered_score(score=None), "score"),
        (altered_score(threshold=0.7), "threshold"),
        (altered_score(transaction_id="other"), "transaction_id"),
        (altered_score(event_time="2018-07-25T00:00:01Z"), "event_time"),
        (altered_score(flags=["late", "duplicate"]), "flags"),
        (altered_score(more=1), "more"),
        (altered_score(model_version=None), "value or headers"),
        (flip_decision, "flagged"),
        (flip_digest, "features"),
        (lambda o: o._replace(key=b"somebody else"), "key"),
        (lambda o: o._replace(key=None), "key"),
        (lambda o: o._replace(value=b"{"), "value or headers"),
        (lambda o: o._replace(value=None), "value or headers"),
        (lambda o: o._replace(value=(o.value or b"") + b" "), "encoding"),
        (lambda o: o._replace(headers=[*o.headers, ("more", b"")]), "headers"),
    ],
)
def test_an_altered_score_is_different(
    model: LoadedModel,
    log: RecordBatch,
    outputs: list[Output],
    alter: Alter,
    what: str,
) -> None:
    alter_one(outputs, "scores", alter)

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 1}
    assert only_what(report) == what


@pytest.mark.parametrize(
    ("alter", "what"),
    [
        (with_header("dlq.reason", b"too_deep"), "reason"),
        (with_header("dlq.stage", b"terminal"), "stage"),
        (with_header("dlq.origin.timestamp", b"1"), "timestamp_ms"),
        (with_header("dlq.payload.size", b"77"), "payload_size"),
        (with_header("dlq.payload.truncated", b"true"), "value"),
        (lambda o: o._replace(key=b"somebody else"), "key"),
        (lambda o: o._replace(value=b"else"), "value"),
    ],
)
def test_an_altered_dead_letter_is_different(
    model: LoadedModel,
    log: RecordBatch,
    outputs: list[Output],
    alter: Alter,
    what: str,
) -> None:
    alter_one(outputs, "dead-letters", alter)

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 1}
    assert only_what(report) == what


@pytest.mark.parametrize("topic", ["scores", "dead-letters"])
def test_an_answer_without_a_readable_origin_answers_nothing(
    model: LoadedModel, log: RecordBatch, outputs: list[Output], topic: str
) -> None:
    alter_one(outputs, topic, lambda output: output._replace(headers=[]))

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"missing": 1, "unexpected": 1}


def test_an_answer_to_another_partition_is_unexpected(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    moved = origin_header("transactions", 5, 0, 0)
    outputs.append(outputs[0]._replace(headers=[moved]))

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"unexpected": 1}


def test_an_answer_to_another_topic_is_left_alone(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    foreign = origin_header("refunds", 0, 0, 0)
    outputs.append(outputs[0]._replace(headers=[foreign]))

    assert audit_stream([model], log, outputs).is_clean()


def test_a_score_in_place_of_a_dead_letter_is_different(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    row = next(i for i, output in enumerate(outputs) if output.topic != "scores")
    score = next(output for output in outputs if output.topic == "scores")
    headers = [origin_header("transactions", 0, log.offsets[row], 0)]
    outputs[row] = score._replace(headers=headers)

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 1}
    assert only_what(report) == "a score, not a dead letter"


def test_a_dead_letter_in_place_of_a_score_is_different(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    letter = next(output for output in outputs if output.topic != "scores")
    letters_before = [o for o in outputs[:100] if o.topic != "scores"]
    row = next(i for i in range(100, 400) if outputs[i].topic == "scores")
    assert len(letters_before) > 3
    offset = str(log.offsets[row]).encode()
    outputs[row] = with_header("dlq.origin.offset", offset)(letter)

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 1}
    assert only_what(report) == "a dead letter, not a score"


def test_a_model_that_is_not_there_makes_its_scores_unverifiable(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    alter_one(outputs, "scores", altered_score(model_version="2031-01-01.1"))

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"unverifiable": 1}
    assert not report.is_clean()


def test_each_score_is_checked_by_the_model_that_it_names(
    model: LoadedModel,
    log: RecordBatch,
    outputs: list[Output],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A model was replaced in the middle of the log; the spec stayed the same."""
    newer = small_model(tmp_path_factory.mktemp("m"), "2018-08-31.1", seed=2)
    outputs[200:] = right_answers(newer, log)[200:]

    report = audit_stream([model, newer], log, outputs)
    outputs[300:] = [
        altered_score(model_version=model.version)(o) if o.topic == "scores" else o
        for o in outputs[300:]
    ]
    mixed_up = audit_stream([model, newer], log, outputs)

    assert counts(report) == {}
    assert mixed_up.counts[Finding.DIFFERENT] > 80


def test_a_model_with_another_spec_is_left_for_another_pass(
    model: LoadedModel,
    log: RecordBatch,
    outputs: list[Output],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    spec = ONE_ENTITY.replace('windows = ["1d", "7d", "30d"]', 'windows = ["2d"]', 1)
    other = small_model(tmp_path_factory.mktemp("m"), "other", spec_text=spec)
    outputs[200:] = right_answers(other, log)[200:]
    left: set[str] = set()

    report = audit_stream([model, other], log, outputs, versions_left=left)
    second = audit_stream([other, model], log, outputs)

    assert counts(report) == counts(second) == {}
    assert left == {"other"}
    assert report.compared + second.compared == len(log)


@pytest.mark.parametrize(
    "alter",
    [
        altered_score(reasons=None),
        altered_score(reasons=[]),
        altered_score(reasons=["amount"]),
        altered_reason(text="amount: 1.00"),
        altered_reason(value=1.0),
        altered_reason(feature="is_night"),
        altered_reason(contribution=9.0),
        altered_reason(contribution=None),
        altered_reason(more=1),
    ],
)
def test_altered_reasons_are_different(
    model: LoadedModel, log: RecordBatch, outputs: list[Output], alter: Alter
) -> None:
    row = next(i for i, o in enumerate(outputs) if b'"reasons"' in (o.value or b""))
    outputs[row] = alter(outputs[row])

    report = audit_stream([model], log, outputs)

    assert counts(report) == {"different": 1}
    assert only_what(report) == "reasons"


def test_contributions_may_differ_by_rounding(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    row = next(i for i, o in enumerate(outputs) if b'"reasons"' in (o.value or b""))
    part = json.loads(outputs[row].value or b"")["reasons"][0]["contribution"]
    near, far = outputs.copy(), outputs.copy()
    near[row] = altered_reason(contribution=round(part + 1e-6, 6))(outputs[row])
    far[row] = altered_reason(contribution=round(part + 2e-6, 6))(outputs[row])

    assert audit_stream([model], log, near).is_clean()
    assert counts(audit_stream([model], log, far)) == {"different": 1}


def test_thresholds_that_were_in_force_are_accepted_and_no_others(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    outputs[:50] = right_answers(replace(model, threshold=0.3), log)[:50]

    allowed = audit_stream([model], log, outputs, thresholds=[0.3])
    unknown = audit_stream([model], log, outputs)

    assert counts(allowed) == {}
    assert unknown.counts[Finding.DIFFERENT] > 30


def test_scores_of_a_model_that_is_not_exact_may_differ_by_rounding(
    log: RecordBatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rough = small_model(tmp_path_factory.mktemp("m"), is_exact=False)
    outputs = right_answers(rough, log)
    score = json.loads(outputs[0].value or b"")["score"]
    near, far = outputs.copy(), outputs.copy()
    near[0] = altered_score(score=round(score + 1e-9, 9))(outputs[0])
    far[0] = altered_score(score=round(score + 3e-9, 9))(outputs[0])

    assert audit_stream([rough], log, outputs).is_clean()
    assert audit_stream([rough], log, near).is_clean()
    assert counts(audit_stream([rough], log, far)) == {"different": 1}


def test_scores_of_an_exact_model_may_not(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    score = json.loads(outputs[0].value or b"")["score"]
    outputs[0] = altered_score(score=round(score + 1e-9, 9))(outputs[0])

    assert counts(audit_stream([model], log, outputs)) == {"different": 1}


def test_the_flag_of_an_incomplete_state_belongs_where_the_commit_says(
    model: LoadedModel, log: RecordBatch
) -> None:
    until_ms = FIRST_MS + 100 * HOUR_MS
    outputs = right_answers(model, log, incomplete_until_ms=until_ms)

    flagged = audit_stream([model], log, outputs, start=FoldStart(until_ms))
    unknown = audit_stream([model], log, outputs)

    assert counts(flagged) == {}
    assert unknown.counts[Finding.DIFFERENT] > 80


def test_what_depends_on_lost_records_is_counted_but_not_compared(
    model: LoadedModel, log: RecordBatch
) -> None:
    """The worker had the first 100 records, the audit has not."""
    outputs = right_answers(model, log)[100:]
    rest = RecordBatch(
        log.topics[100:],
        log.partitions[100:],
        log.offsets[100:],
        log.timestamps_ms[100:],
        log.keys[100:],
        log.values[100:],
    )
    horizon_ms = model.spec.horizon_ms
    start = FoldStart(None, log.timestamps_ms[100] + horizon_ms)

    naive = audit_stream([model], rest, outputs, first=100)
    aware = audit_stream([model], rest, outputs, first=100, start=start)

    assert naive.counts[Finding.DIFFERENT] > 100
    assert counts(aware) == {}
    assert aware.not_compared > 100
    assert aware.scores + aware.dead_letters == 300


def test_records_below_the_first_are_folded_and_not_asked_for(
    model: LoadedModel, log: RecordBatch
) -> None:
    outputs = right_answers(model, log, live_from=150)

    report = audit_stream([model], log, outputs, first=150)

    assert counts(report) == {}
    assert report.events == 250


def test_no_finding_shows_what_a_record_says(
    model: LoadedModel, log: RecordBatch, outputs: list[Output]
) -> None:
    for row, output in enumerate(outputs):
        outputs[row] = output._replace(key=b"secret", value=b'{"secret":1}')

    shown = "\n".join(audit_stream([model], log, outputs).as_lines())

    assert "secret" not in shown
    assert "different 400" in shown
