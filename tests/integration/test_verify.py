"""verify exits 0 on a right stream, and 1 whatever is done to it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import TopicPartition as VendorPartition
from confluent_kafka.admin import AdminClient

from demo.broker import KafkaBroker
from tests.doctored import altered_score, flip_decision, flip_digest, with_header
from tests.published import (
    commit_for,
    open_commit,
    publish,
    publish_log,
    read_all,
)
from tests.small_models import ONE_ENTITY, small_model
from tests.streams import at, payments, right_answers
from worker.audit.published import dead_letter_origin, score_origin
from worker.bundle import set_current
from worker.codec import parse_origin
from worker.commands import verify
from worker.commands.clients import client_settings
from worker.config import Settings
from worker.errors import StateUnusable
from worker.records import NextOffset, Output, RecordBatch, TopicPartition
from worker.recovery import CommitMetadata
from worker.scoring import LoadedModel

INPUT = "verify-transactions"
KEPT = {"retention.ms": "-1"}

Doctor = Callable[[list[Output]], list[Output]]
Audited = Callable[..., tuple[int, dict[str, Any]]]


@dataclass
class Stream:
    """A log on the broker, and what must be published for it."""

    kafka: KafkaBroker
    settings: Settings
    model: LoadedModel
    logs: dict[TopicPartition, RecordBatch]
    ends: dict[TopicPartition, int]

    def answers(self, settings: Settings) -> list[Output]:
        return [
            output
            for log in self.logs.values()
            for output in right_answers(
                self.model,
                log,
                scores_topic=settings.scores_topic,
                dead_letters_topic=settings.dead_letters_topic,
            )
        ]

    def commit(self, group: str, **changes: int) -> None:
        """Commit the end of each partition, less where a test says so."""
        offsets = {}
        for place, end in self.ends.items():
            metadata = CommitMetadata(None, 0, changes.get("answered_from", 0))
            offset = changes.get("offset", end)
            offsets[place] = NextOffset(offset, metadata.encode())
        commit_for(self.kafka.bootstrap_servers, group, offsets)


@pytest.fixture(scope="module")
def stream(kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    models_dir = tmp_path_factory.mktemp("models")
    model = small_model(models_dir)
    kafka.create_topics({INPUT: 2}, config=KEPT)
    settings = Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        models_dir=models_dir,
        transactions_topic=INPUT,
    )
    ends = {}
    for partition in range(2):
        place = TopicPartition(INPUT, partition)
        log = at(payments(300, seed=partition), place)
        ends[place] = publish_log(kafka.bootstrap_servers, log)
    client = client_settings(settings)
    logs = {place: read_all(client, place, end) for place, end in ends.items()}
    assert all(log.offsets[-1] > 300 for log in logs.values()), "offsets have gaps"
    return Stream(kafka, settings, model, logs, ends)


@pytest.fixture
def audited(
    stream: Stream,
    fresh_name: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> Audited:
    """A function that publishes answers, commits, and runs verify on them."""

    def run(
        doctor: Doctor = list, *arguments: str, **commit: int
    ) -> tuple[int, dict[str, Any]]:
        settings = replace(
            stream.settings,
            group=fresh_name("verify-group"),
            scores_topic=fresh_name("verify-scores"),
            dead_letters_topic=fresh_name("verify-dead-letters"),
        )
        topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
        stream.kafka.create_topics(topics, config=KEPT)
        publish(stream.kafka.bootstrap_servers, doctor(stream.answers(settings)))
        stream.commit(settings.group, **commit)
        return run_verify(settings, capsys, *arguments)

    return run


def run_verify(
    settings: Settings, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    """The exit code and the report."""
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    args = parser.parse_args(["--json", "--timeout", "0", *arguments])
    capsys.readouterr()
    code = verify.main(args, settings)
    return code, json.loads(capsys.readouterr().out)


FINDINGS = (
    *("missing", "duplicated", "out_of_order", "different"),
    *("unexpected", "pending", "unverifiable"),
)


def found(report: dict[str, Any]) -> dict[str, int]:
    return {name: report[name] for name in FINDINGS if report[name]}


def of_kind(outputs: list[Output], stem: str) -> list[int]:
    return [i for i, output in enumerate(outputs) if stem in output.topic]


def remove(stem: str) -> Doctor:
    def doctor(outputs: list[Output]) -> list[Output]:
        row = of_kind(outputs, stem)[9]
        return outputs[:row] + outputs[row + 1 :]

    return doctor


def repeat(stem: str) -> Doctor:
    def doctor(outputs: list[Output]) -> list[Output]:
        row = of_kind(outputs, stem)[9]
        return [*outputs, outputs[row]]

    return doctor


def swap(stem: str) -> Doctor:
    def doctor(outputs: list[Output]) -> list[Output]:
        first, second = of_kind(outputs, stem)[9:11]
        swapped = list(outputs)
        swapped[first], swapped[second] = outputs[second], outputs[first]
        return swapped

    return doctor


def alter(stem: str, change: Callable[[Output], Output]) -> Doctor:
    def doctor(outputs: list[Output]) -> list[Output]:
        row = of_kind(outputs, stem)[9]
        return [*outputs[:row], change(outputs[row]), *outputs[row + 1 :]]

    return doctor


def to_another_partition(output: Output) -> Output:
    return output._replace(partition=1 - output.partition)


def test_a_right_stream_passes(audited: Audited) -> None:
    code, report = audited()

    assert found(report) == {}
    assert code == 0
    assert report["events"] == 600 == report["compared"]
    assert report["scores"] + report["dead_letters"] == 600
    assert report["dead_letters"] > 40
    assert report["clean"] is True


@pytest.mark.parametrize(
    ("doctor", "expected"),
    [
        (remove("scores"), {"missing": 1}),
        (remove("dead-letters"), {"missing": 1}),
        (repeat("scores"), {"duplicated": 1}),
        (repeat("dead-letters"), {"duplicated": 1}),
        (swap("scores"), {"out_of_order": 1}),
        (swap("dead-letters"), {"out_of_order": 1}),
        (alter("scores", altered_score(score=0.5)), {"different": 1}),
        (alter("scores", flip_decision), {"different": 1}),
        (alter("scores", altered_score(flags=["late"])), {"different": 1}),
        (alter("scores", flip_digest), {"different": 1}),
        (alter("scores", altered_score(model_version="x")), {"unverifiable": 1}),
        (alter("scores", to_another_partition), {"missing": 1, "unexpected": 1}),
        (
            alter("dead-letters", with_header("dlq.reason", b"bad_time")),
            {"different": 1},
        ),
        (alter("dead-letters", lambda o: o._replace(value=b"?")), {"different": 1}),
    ],
)
def test_a_doctored_stream_does_not(
    audited: Audited, doctor: Doctor, expected: dict[str, int]
) -> None:
    code, report = audited(doctor)

    assert found(report) == expected
    assert code == 1
    assert report["clean"] is False
    assert len(report["examples"]) == sum(expected.values())


def begun_at(stream: Stream, row: int) -> tuple[str, dict[TopicPartition, int]]:
    """The time of a payment, and the first offset of each partition from then on."""
    (log, *_) = stream.logs.values()
    since_ms = log.timestamps_ms[row]
    firsts = {
        place: next(
            offset
            for offset, ms in zip(each.offsets, each.timestamps_ms, strict=True)
            if ms >= since_ms
        )
        for place, each in stream.logs.items()
    }
    moment = dt.datetime.fromtimestamp(since_ms / 1000, dt.UTC)
    return moment.isoformat(), firsts


def is_later(output: Output, firsts: dict[TopicPartition, int]) -> bool:
    is_score = "scores" in output.topic
    origin = (score_origin if is_score else dead_letter_origin)(output.headers)
    assert origin is not None
    place, offset = origin
    return offset >= firsts[place]


def test_what_came_before_a_time_is_folded_and_not_audited(
    stream: Stream, audited: Audited
) -> None:
    """Without its fold, the windows of what comes after would be wrong."""
    since, firsts = begun_at(stream, 150)

    def only_later(outputs: list[Output]) -> list[Output]:
        return [each for each in outputs if is_later(each, firsts)]

    code, report = audited(only_later, "--since", since)

    later = [
        offset
        for place, log in stream.logs.items()
        for offset in log.offsets
        if offset >= firsts[place]
    ]
    assert (code, found(report)) == (0, {})
    assert 200 < len(later) < 400
    assert report["events"] == report["compared"] == len(later)
    assert len([n for n in report["notices"] if "and are not audited" in n]) == 2
    assert audited(only_later)[0] == 1


@pytest.mark.parametrize(
    ("row", "expected"), [(9, {}), (-9, {"different": 1})], ids=["before", "after"]
)
def test_findings_count_from_that_time_on(
    stream: Stream, audited: Audited, row: int, expected: dict[str, int]
) -> None:
    def doctor(outputs: list[Output]) -> list[Output]:
        at = of_kind(outputs, "scores")[row]
        return [*outputs[:at], flip_digest(outputs[at]), *outputs[at + 1 :]]

    code, report = audited(doctor, "--since", begun_at(stream, 150)[0])

    assert (code, found(report)) == (int(bool(expected)), expected)


def test_nothing_is_audited_where_nothing_came_since(
    stream: Stream, audited: Audited
) -> None:
    code, report = audited(lambda outputs: outputs[:0], "--since", "2099-01-01T00:00Z")

    assert (code, found(report), report["events"]) == (0, {}, 0)


def test_a_time_without_an_offset_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)

    for text in ("2018-08-31T14:00:00", "yesterday"):
        with pytest.raises(SystemExit):
            parser.parse_args(["--since", text])
        assert "expected a time with its offset" in capsys.readouterr().err


def test_duplicates_are_tolerated_only_when_told_so(audited: Audited) -> None:
    code, report = audited(repeat("scores"), "--allow-duplicates")

    assert found(report) == {"duplicated": 1}
    assert code == 0


def test_what_is_not_committed_in_time_is_pending(audited: Audited) -> None:
    code, report = audited(list, offset=100)

    assert list(found(report)) == ["pending"]
    assert code == 1
    assert report["events"] == 600
    assert report["compared"] + report["pending"] == 600


def test_the_markers_behind_the_last_record_need_not_be_committed(
    stream: Stream, audited: Audited
) -> None:
    last = {log.offsets[-1] + 1 for log in stream.logs.values()}
    assert last == {end - 1 for end in stream.ends.values()}

    code, report = audited(list, offset=max(last))

    assert (code, found(report)) == (0, {})


def test_a_group_that_never_committed_has_answered_nothing(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        stream.settings,
        group=fresh_name("never-group"),
        scores_topic=fresh_name("never-scores"),
        dead_letters_topic=fresh_name("never-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)

    code, report = run_verify(settings, capsys)

    assert (code, found(report)) == (1, {"pending": 600})
    assert "never committed" in report["notices"][0]


def test_records_before_the_first_start_are_folded_and_not_asked_for(
    stream: Stream, audited: Audited
) -> None:
    """As with FRAUD_START=latest: the fold begins before the answers do."""
    first = 150

    def without_older_answers(outputs: list[Output]) -> list[Output]:
        return [o for o in outputs if origin_offset(o) >= first]

    code, report = audited(without_older_answers, answered_from=first)
    lost, _ = audited(without_older_answers)

    expected = sum(o >= first for log in stream.logs.values() for o in log.offsets)
    assert (code, report["events"]) == (0, expected)
    assert lost == 1


def test_answers_that_retention_removed_are_not_missed(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        stream.settings,
        group=fresh_name("trimmed-group"),
        scores_topic=fresh_name("trimmed-scores"),
        dead_letters_topic=fresh_name("trimmed-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)
    publish(stream.kafka.bootstrap_servers, stream.answers(settings))
    stream.commit(settings.group)
    delete_records(stream.kafka, TopicPartition(settings.scores_topic, 0), 150)

    code, report = run_verify(settings, capsys)

    assert (code, found(report)) == (0, {})
    assert 300 < report["compared"] < 580
    assert "no longer kept" in report["notices"][0]


def test_what_retention_left_of_the_log_is_compared_where_it_can_be(
    kafka: KafkaBroker,
    stream: Stream,
    fresh_name: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The worker folded records that the audit cannot read any more."""
    topic = fresh_name("old-log")
    place = TopicPartition(topic, 0)
    settings = replace(
        stream.settings,
        group=fresh_name("old-group"),
        transactions_topic=topic,
        scores_topic=fresh_name("old-scores"),
        dead_letters_topic=fresh_name("old-letters"),
    )
    names = (topic, settings.scores_topic, settings.dead_letters_topic)
    kafka.create_topics(dict.fromkeys(names, 1), config=KEPT)
    end = publish_log(kafka.bootstrap_servers, at(payments(1200), place))
    log = read_all(client_settings(settings), place, end)
    old = Stream(kafka, settings, stream.model, {place: log}, {place: end})
    publish(kafka.bootstrap_servers, old.answers(settings))
    old.commit(settings.group)
    delete_records(kafka, place, 200)

    code, report = run_verify(settings, capsys)

    assert (code, found(report)) == (0, {})
    assert report["not_compared"] > 500
    assert report["compared"] > 200, report
    assert "no longer holds" in report["notices"][0]


def test_topics_that_do_not_fit_are_refused(stream: Stream) -> None:
    settings = replace(stream.settings, scores_topic="not-there")
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)

    with pytest.raises(StateUnusable, match="not-there has 0"):
        verify.main(parser.parse_args(["--timeout", "0"]), settings)


def test_each_spec_s_answers_are_compared_by_a_fold_of_their_own(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The model was replaced by one that looks at other windows of the same state."""
    spec = ONE_ENTITY.replace(
        'windows = ["1d", "7d", "30d"]', 'windows = ["2d", "30d"]', 1
    )
    models_dir = stream.settings.models_dir
    other = small_model(models_dir, "2018-09-30.1", spec_text=spec)
    set_current(models_dir, stream.model.version)
    settings = replace(
        stream.settings,
        group=fresh_name("two-specs-group"),
        scores_topic=fresh_name("two-specs-scores"),
        dead_letters_topic=fresh_name("two-specs-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)
    before = stream.answers(settings)
    after = replace(stream, model=other).answers(settings)
    mixed = [
        old if origin_offset(old) < 150 else new
        for old, new in zip(before, after, strict=True)
    ]
    row = max(of_kind(mixed, "scores"))
    publish(stream.kafka.bootstrap_servers, mixed)
    publish(stream.kafka.bootstrap_servers, [mixed[row]])
    stream.commit(settings.group)

    code, report = run_verify(settings, capsys, "--allow-duplicates")
    strict, _ = run_verify(settings, capsys)

    assert (code, strict) == (0, 1)
    assert found(report) == {"duplicated": 1}
    assert report["compared"] == 600


def test_a_wrong_feature_under_the_other_spec_is_different(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    spec = ONE_ENTITY.replace(
        'windows = ["1d", "7d", "30d"]', 'windows = ["3d", "30d"]', 1
    )
    models_dir = stream.settings.models_dir
    other = small_model(models_dir, "2018-10-31.1", spec_text=spec)
    set_current(models_dir, stream.model.version)
    settings = replace(
        stream.settings,
        group=fresh_name("other-spec-group"),
        scores_topic=fresh_name("other-spec-scores"),
        dead_letters_topic=fresh_name("other-spec-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)
    outputs = replace(stream, model=other).answers(settings)
    publish(stream.kafka.bootstrap_servers, alter("scores", flip_digest)(outputs))
    stream.commit(settings.group)

    code, report = run_verify(settings, capsys)

    assert (code, found(report)) == (1, {"different": 1})
    assert report["examples"][0]["what"] == "features"


def test_an_answer_in_a_commit_that_is_still_open_is_missing_and_noticed(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        stream.settings,
        group=fresh_name("open-group"),
        scores_topic=fresh_name("open-scores"),
        dead_letters_topic=fresh_name("open-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)
    outputs = stream.answers(settings)
    row = of_kind(outputs, "scores")[-1]
    publish(stream.kafka.bootstrap_servers, outputs[:row] + outputs[row + 1 :])
    with open_commit(stream.kafka.bootstrap_servers, [outputs[row]]):
        stream.commit(settings.group)
        code, report = run_verify(settings, capsys)

    assert (code, found(report)) == (1, {"missing": 1})
    assert "hidden by a commit that is still open" in report["notices"][0]


def test_the_report_for_people_ends_with_the_four_counts(
    stream: Stream, fresh_name: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(
        stream.settings,
        group=fresh_name("people-group"),
        scores_topic=fresh_name("people-scores"),
        dead_letters_topic=fresh_name("people-letters"),
    )
    topics = {settings.scores_topic: 2, settings.dead_letters_topic: 2}
    stream.kafka.create_topics(topics, config=KEPT)
    publish(stream.kafka.bootstrap_servers, remove("scores")(stream.answers(settings)))
    stream.commit(settings.group)
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)

    verify.main(parser.parse_args(["--timeout", "0"]), settings)

    *_, example, _, events, last = capsys.readouterr().out.splitlines()
    assert example.startswith(f"missing {INPUT}/0/")
    assert events.startswith("events in 600, scores ")
    assert last == "missing 1, duplicated 0, out of order 0, different 0"


def origin_offset(output: Output) -> int:
    headers = dict(output.headers)
    if "origin" in headers:
        return parse_origin(headers["origin"]).offset
    return int(headers["dlq.origin.offset"])


def delete_records(kafka: KafkaBroker, place: TopicPartition, before: int) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    deleted = admin.delete_records([VendorPartition(*place, before)])
    assert all(future.result().low_watermark == before for future in deleted.values())
