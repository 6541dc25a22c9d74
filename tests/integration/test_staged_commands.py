"""Commands for a model with two entities and labels, on a real broker."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo.broker import KafkaBroker
from tests.commanding import run_command
from tests.label_builders import WITH_LABELS
from tests.published import commit_for, publish, read_all
from tests.small_models import small_model
from tests.staged import StagedStream, StagedTraffic, golden_log
from worker.codec import Decoder
from worker.codec.forwarding import Origins
from worker.codec.stage_flags import pack_flags
from worker.commands import check, inspect, redrive, replay, topics
from worker.commands.clients import client_settings
from worker.commands.samples import murmur2
from worker.config import Settings
from worker.errors import ExitCode, StateUnusable
from worker.features import FeatureTransform
from worker.kafka.admin import Cluster
from worker.pipeline.chain import codec_of
from worker.pipeline.dead_letters import DeadLetters
from worker.records import (
    LogBounds,
    NextOffset,
    Output,
    Reason,
    RecordBatch,
    Rejection,
    TopicPartition,
)
from worker.recovery import CommitMetadata

PAYMENTS = 200


@pytest.fixture
def stream(
    kafka: KafkaBroker, tmp_path: Path, fresh_name: Callable[[str], str]
) -> StagedStream:
    """Topics as the command makes them, with payments and labels and no worker yet."""
    models = tmp_path / "models"
    model = small_model(models, spec_text=WITH_LABELS, golden=golden_log())
    name = fresh_name("staged-commands")
    stream = StagedStream(kafka, name, models, tmp_path, model=model)
    assert run_command(topics, settings_of(stream), "--partitions", "2") == 0
    StagedTraffic(stream).write(PAYMENTS)
    return stream


def settings_of(stream: StagedStream) -> Settings:
    return Settings(
        bootstrap_servers=stream.kafka.bootstrap_servers,
        group=stream.group,
        models_dir=stream.models,
        transactions_topic=stream.transactions,
        labels_topic=stream.labels,
        scores_topic=stream.scores,
        dead_letters_topic=stream.dead_letters,
    )


def checked(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of check, and what it found."""
    capsys.readouterr()
    code = run_command(check, settings, "--json")
    return code, json.loads(capsys.readouterr().out)


def bounds_of(stream: StagedStream) -> dict[TopicPartition, LogBounds]:
    with Cluster(client_settings(settings_of(stream))) as cluster:
        consumed = stream.topology.consumed
        return cluster.bounds([p for t in consumed for p in cluster.partitions(t)])


def go_on_from(stream: StagedStream, offsets: dict[TopicPartition, int]) -> None:
    """Commit these offsets for the group, which has folded from the start."""
    metadata = CommitMetadata(None, 0, 0).encode()
    commits = {place: NextOffset(offset, metadata) for place, offset in offsets.items()}
    commit_for(stream.kafka.bootstrap_servers, stream.group, commits)


def test_inspect_shows_where_the_group_stands_in_all_that_it_reads(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    (inner,) = stream.topology.inner
    place = TopicPartition(inner, 1)
    go_on_from(stream, {place: 0})
    capsys.readouterr()

    code = run_command(inspect, settings_of(stream), "--offsets", "--json")

    shown = json.loads(capsys.readouterr().out)["partitions"]
    assert code == ExitCode.OK
    assert [each["partition"] for each in shown] == [
        f"{topic}/{partition}"
        for topic in (stream.transactions, stream.labels, inner)
        for partition in (0, 1)
    ]
    ends = {f"{p.topic}/{p.partition}": log.end for p, log in bounds_of(stream).items()}
    assert {each["partition"]: each["log_end"] for each in shown} == ends
    assert [each["committed"] for each in shown] == [*[None] * 5, 0]


def test_inspect_without_a_bundle_says_what_it_cannot_know(
    stream: StagedStream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = replace(settings_of(stream), models_dir=tmp_path / "nowhere")
    capsys.readouterr()

    code = run_command(inspect, nowhere, "--offsets")

    told = capsys.readouterr()
    assert code == ExitCode.OK
    assert [line.split()[0] for line in told.out.splitlines()] == [
        f"{stream.transactions}/0",
        f"{stream.transactions}/1",
    ]
    assert "the transactions alone, since no bundle names more" in told.err


def test_check_looks_at_the_topics_between_stages_and_at_labels(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = checked(settings_of(stream), capsys)

    said: defaultdict[str, str] = defaultdict(str)
    for finding in found:
        said[finding["subject"]] += f"{finding['text']}. "
    (inner,) = stream.topology.inner
    assert code == ExitCode.OK
    assert all("2 partitions" in said[topic] for topic in stream.topology.every)
    assert "records in the sample are labels" in said[stream.labels]
    assert "windows and lateness reach" in said[inner]
    assert said[f"group {stream.group}"].startswith(
        "has never committed; the first start needs FRAUD_START=earliest to score what "
        "is retained. "
    )


def test_check_tells_for_each_topic_where_the_group_would_go_on(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    """What leaves nothing behind is not folded again, wherever it is taken up."""
    bounds = bounds_of(stream)
    offsets = {place: max(0, log.end - 1) for place, log in bounds.items()}
    go_on_from(stream, offsets)

    code, found = checked(settings_of(stream), capsys)

    folded: Counter[str] = Counter()
    behind: Counter[str] = Counter()
    for place, log in bounds.items():
        behind[place.topic] += log.end - offsets[place]
        is_label = place.topic == stream.labels
        folded[place.topic] += 0 if is_label else offsets[place]
    assert code == ExitCode.OK
    assert behind[stream.labels] == 1
    assert folded[stream.transactions] == PAYMENTS - 2
    assert [f["text"] for f in found if f["subject"] == f"group {stream.group}"] == [
        f"{topic}: would go on with at most {behind[topic]} records to answer, after "
        f"folding at most {folded[topic]} earlier ones"
        for topic in stream.topology.consumed
    ]


def test_check_fails_where_labels_have_no_commit(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [p for p in bounds_of(stream) if p.topic != stream.labels]
    go_on_from(stream, dict.fromkeys(places, 0))

    code, found = checked(settings_of(stream), capsys)

    (failure,) = [f for f in found if f["level"] == "fail"]
    assert code == ExitCode.STATE
    assert f"has committed nothing for {stream.labels}/0" in failure["text"]


def test_check_fails_for_a_start_at_the_ends(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = replace(settings_of(stream), start="latest")

    code, found = checked(latest, capsys)

    (failure,) = [f for f in found if f["level"] == "fail"]
    assert code == ExitCode.CONFIG
    assert "expected FRAUD_START=earliest" in failure["text"]


def test_check_fails_where_a_group_that_begins_finds_a_used_inner_topic(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    (inner,) = stream.topology.inner
    publish(stream.kafka.bootstrap_servers, [Output(inner, b"x", b"s", 0, [])])

    code, found = checked(settings_of(stream), capsys)

    (failure,) = [f for f in found if f["level"] == "fail"]
    assert code == ExitCode.STATE
    assert f"{inner}: there are records of an earlier group" in failure["text"]


def test_check_fails_without_the_topics_of_stages(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = replace(settings_of(stream), group=f"{stream.group}-other")

    code, found = checked(elsewhere, capsys)

    (failure,) = [f for f in found if f["level"] == "fail"]
    assert code == ExitCode.STATE
    assert failure["text"] == "does not exist: run `fraud-worker topics`"


def hand_on(
    stream: StagedStream, alter: Callable[[bytes], bytes] = lambda value: value
) -> list[str]:
    """Do the first stage's work on partition 0; return the names of the payments.

    The last of them is handed on altered.
    """
    assert stream.model is not None
    spec, servers = stream.model.spec, stream.kafka.bootstrap_servers
    place = TopicPartition(stream.transactions, 0)
    client = client_settings(settings_of(stream))
    log = read_all(client, place, bounds_of(stream)[place].end)
    decoded = Decoder(spec.schema).decode(log.keys, log.values, log.timestamps_ms)
    rows = FeatureTransform(spec, 0).transform(decoded.events)
    index = decoded.rows.tolist()
    origins = Origins(
        np.zeros(len(index), np.int64),
        np.array([log.offsets[row] for row in index], np.int64),
        [log.keys[row] or b"" for row in index],
    )
    flags = pack_flags(rows.late, rows.duplicate, np.zeros(len(index), np.bool_))
    keys, values = codec_of(spec, 1).encode_events(
        decoded.events, origins, flags, rows.X
    )
    values[-1] = alter(values[-1])
    (inner,) = stream.topology.inner
    outputs = [
        Output(inner, value, key, murmur2(key) % 2, [])
        for key, value in zip(keys, values, strict=True)
    ]
    publish(servers, outputs)
    return [f"{place.topic}/0/{log.offsets[row]}" for row in index]


def replayed(
    stream: StagedStream, name: str, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """What replay says of a payment that nobody has answered."""
    capsys.readouterr()
    assert run_command(replay, settings_of(stream), name, "--json") == 1
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_replay_follows_a_payment_to_the_last_stage(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    names = hand_on(stream)

    found = replayed(stream, names[-1], capsys)

    assert stream.model is not None
    (inner,) = stream.topology.inner
    (handed_on,) = found["handed_on"]
    assert handed_on.startswith(f"{inner}/")
    assert (found["record"], found["published"]) == (names[-1], None)
    assert found["differences"] == []
    assert tuple(found["features"]) == stream.model.spec.feature_names
    assert found["features"]["shop_count_60s"] >= 1


def test_replay_names_a_record_between_stages_that_says_something_else(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    (inner,) = stream.topology.inner
    # A bit of the first column, behind flags, origin, event time and amount.
    names = hand_on(stream, lambda value: value[:30] + b"\x01" + value[31:])

    right, wrong = (replayed(stream, name, capsys) for name in names[-2:])

    assert right["differences"] == []
    assert wrong["differences"] == [f"what was handed on to {inner}"]


def test_replay_of_a_payment_that_was_not_handed_on_says_so(
    stream: StagedStream,
) -> None:
    with Cluster(client_settings(settings_of(stream))) as cluster:
        (place, *_) = cluster.partitions(stream.transactions)
    client = client_settings(settings_of(stream))
    log = read_all(client, place, bounds_of(stream)[place].end)
    name = f"{place.topic}/0/{log.offsets[0]}"

    with pytest.raises(StateUnusable, match="has not been handed on to"):
        run_command(replay, settings_of(stream), name)


def test_replay_refuses_an_inner_topic_of_somebody_else(stream: StagedStream) -> None:
    (name, *_) = hand_on(stream)
    (inner,) = stream.topology.inner
    servers = stream.kafka.bootstrap_servers
    strangers = [Output(inner, b"stranger", b"s", p, []) for p in range(2)]
    publish(servers, strangers)

    with pytest.raises(StateUnusable, match="was not written by a stage"):
        run_command(replay, settings_of(stream), name)


def test_redrive_sends_each_dead_letter_to_the_topic_that_it_came_from(
    stream: StagedStream, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(settings_of(stream), group=f"{stream.group}-mended")
    letters = DeadLetters(stream.dead_letters, "stage", "0", "1", 1000)
    outputs = []
    for topic in (stream.transactions, stream.labels, "another"):
        place = TopicPartition(topic, 1)
        records = RecordBatch([topic], [1], [7], [1000], [b"key"], [b"{"])
        rejection = Rejection(0, Reason.NOT_JSON, None)
        outputs.append(letters.output(records, rejection, place))
    publish(stream.kafka.bootstrap_servers, outputs)
    before = bounds_of(stream)

    code = run_command(redrive, settings)

    said = capsys.readouterr()
    sent = {p: (before[p].end, log.end) for p, log in bounds_of(stream).items()}
    client = client_settings(settings)
    for topic in (stream.transactions, stream.labels):
        place = TopicPartition(topic, 1)
        log = read_all(client, place, sent[place][1])
        assert log.offsets[-1] == sent[place][0]
        assert (log.keys[-1], log.values[-1]) == (b"key", b"{")
    assert code == ExitCode.OK
    assert said.out.splitlines()[-1] == "sent 2"
    assert "passed over 1 of other topics" in said.err
