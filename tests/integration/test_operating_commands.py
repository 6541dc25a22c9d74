"""topics, check, replay and inspect on a real broker."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from demo.broker import KafkaBroker
from tests.commanding import run_command
from tests.doctored import altered_score, flip_digest
from tests.published import commit_for, publish, publish_log, read_all
from tests.small_models import small_model
from tests.streams import at, payments, right_answers
from tests.waiting import wait_until
from worker.commands import check, inspect, replay, topics
from worker.commands.clients import client_settings
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig, StateUnusable
from worker.kafka.admin import Cluster
from worker.records import NextOffset, Output, RecordBatch, TopicPartition
from worker.recovery import CommitMetadata
from worker.scoring import LoadedModel


@pytest.fixture(scope="module")
def models(
    kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Settings, LoadedModel]:
    """Settings without topics of their own, and the model in use."""
    models_dir = tmp_path_factory.mktemp("models")
    model = small_model(models_dir)
    servers = kafka.bootstrap_servers
    return Settings(bootstrap_servers=servers, models_dir=models_dir), model


@pytest.fixture
def settings(
    models: tuple[Settings, LoadedModel], fresh_name: Callable[[str], str]
) -> Settings:
    """Settings whose topics do not exist yet."""
    return replace(
        models[0],
        group=fresh_name("operating"),
        transactions_topic=fresh_name("operating-transactions"),
        scores_topic=fresh_name("operating-scores"),
        dead_letters_topic=fresh_name("operating-letters"),
    )


def create(settings: Settings, partitions: int = 2) -> None:
    assert run_command(topics, settings, "--partitions", str(partitions)) == 0


def fill(settings: Settings, partition: int = 0, count: int = 300) -> RecordBatch:
    """Publish payments with their times, and return them at their true offsets."""
    place = TopicPartition(settings.transactions_topic, partition)
    _keep(settings)
    end = publish_log(settings.bootstrap_servers, at(payments(count), place))
    return read_all(client_settings(settings), place, end)


def _keep(settings: Settings) -> None:
    """Let no payment of 2018 be removed: the broker looks for old ones now and then."""
    keep = ConfigEntry(
        "retention.ms", "-1", incremental_operation=AlterConfigOpType.SET
    )
    topic = ConfigResource(
        ConfigResource.Type.TOPIC,
        settings.transactions_topic,
        incremental_configs=[keep],
    )
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    admin.incremental_alter_configs([topic])[topic].result()


def answers(settings: Settings, model: LoadedModel, log: RecordBatch) -> list[Output]:
    return right_answers(
        model,
        log,
        scores_topic=settings.scores_topic,
        dead_letters_topic=settings.dead_letters_topic,
    )


def commit(settings: Settings, log: RecordBatch) -> None:
    place = TopicPartition(settings.transactions_topic, log.partitions[0])
    offset = NextOffset(log.offsets[-1] + 1, CommitMetadata(None, 0, 0).encode())
    commit_for(settings.bootstrap_servers, settings.group, {place: offset})


Printed = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """A function that runs a command, and returns its code and its lines."""

    def run(*command: Any) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = run_command(*command)
        return code, capsys.readouterr().out.splitlines()

    return run


def test_topics_creates_what_is_missing_and_leaves_the_rest(
    settings: Settings, printed: Printed
) -> None:
    first, created = printed(topics, settings, "--partitions", "3")
    second, existing = printed(topics, settings)

    assert (first, second) == (0, 0)
    assert [line.split()[0] for line in created] == ["created"] * 3
    assert [line.split()[0] for line in existing] == ["exists"] * 3
    with Cluster(client_settings(settings)) as cluster:
        facts = cluster.topics([settings.transactions_topic])
    config = facts[settings.transactions_topic].config
    assert config is not None
    assert (config["cleanup.policy"], config["retention.ms"]) == (
        "delete",
        "5357400000",
    )
    assert facts[settings.transactions_topic].partition_count == 3


def test_topics_refuses_another_number_of_partitions(settings: Settings) -> None:
    create(settings, partitions=3)

    with pytest.raises(StateUnusable, match="must have 4 partitions"):
        run_command(topics, settings, "--partitions", "4")


def test_check_finds_nothing_wrong_where_topics_made_the_topics(
    settings: Settings, models: tuple[Settings, LoadedModel], printed: Printed
) -> None:
    create(settings)
    log = fill(settings)

    code, lines = printed(check, settings)

    assert code == 0
    assert not [line for line in lines if line.startswith("fail")]
    assert f"1 reachable through {settings.bootstrap_servers}" in "\n".join(lines)
    assert f"of {len(log)} records would be dead letters" in "\n".join(lines)
    assert any("never committed; the first start needs" in line for line in lines)


def test_check_says_how_long_the_transactions_are_kept(
    settings: Settings, printed: Printed
) -> None:
    create(settings)

    code, lines = printed(check, settings)

    assert code == 0
    assert "kept for 62 days" in "\n".join(lines)


def test_check_tells_where_the_group_would_go_on(
    settings: Settings, printed: Printed
) -> None:
    create(settings, partitions=1)
    log = fill(settings)
    commit(settings, log)

    code, lines = printed(check, settings)

    (line,) = [line for line in lines if line.startswith("ok    group")]
    behind, replayed = 1, log.offsets[-1] + 1
    assert code == 0
    assert line.endswith(
        f"at most {behind} records to answer, after folding at most {replayed} "
        "earlier ones"
    )


def test_check_fails_for_topics_that_are_missing(
    settings: Settings, printed: Printed
) -> None:
    code, lines = printed(check, settings)

    assert code == ExitCode.STATE
    assert sum("does not exist: run `fraud-worker topics`" in x for x in lines) == 3


def test_check_fails_for_a_key_on_two_partitions(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    fill(settings, partition=0)
    fill(settings, partition=1)

    code, lines = printed(check, settings, "--json")

    (failure,) = [f for f in json.loads("\n".join(lines)) if f["level"] == "fail"]
    assert code == ExitCode.STATE
    assert "are on more than one partition" in failure["text"]


def test_check_fails_where_a_partition_was_never_committed(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    commit(settings, fill(settings))

    code, lines = printed(check, settings)

    assert code == ExitCode.STATE
    assert any("has committed nothing for" in line for line in lines)


def test_check_fails_with_the_broker_s_code_where_there_is_none(
    settings: Settings, printed: Printed
) -> None:
    nobody = replace(settings, bootstrap_servers="127.0.0.1:1")

    code, lines = printed(check, nobody, "--timeout", "0.5")

    assert code == ExitCode.BROKER
    assert "Is 127.0.0.1:1 (FRAUD_BOOTSTRAP_SERVERS) up" in lines[-1]


def test_check_offline_asks_no_broker(settings: Settings, printed: Printed) -> None:
    nobody = replace(settings, bootstrap_servers="127.0.0.1:1")

    code, lines = printed(check, nobody, "--offline")

    assert (code, len(lines)) == (0, 2)


def test_check_consumes_nothing_as_a_member(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    fill(settings)

    printed(check, settings)

    with Cluster(client_settings(settings)) as cluster:
        assert cluster.group().state == "DEAD"


def test_check_warns_of_a_worker_under_the_same_name(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    client = client_settings(settings)
    member = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": client.group,
            "group.instance.id": client.slot,
        }
    )
    member.subscribe([settings.transactions_topic])
    with Cluster(client) as cluster:
        wait_until(
            lambda: member.poll(0.1) or client.slot in cluster.group().instances,
            what="the member joins",
            seconds=30,
        )

    _, lines = printed(check, settings)

    member.close()
    assert any(f"a worker named {client.instance} is in it" in line for line in lines)


def test_replay_recomputes_what_was_published(
    settings: Settings, models: tuple[Settings, LoadedModel], printed: Printed
) -> None:
    create(settings)
    log = fill(settings)
    publish(settings.bootstrap_servers, answers(settings, models[1], log))
    commit(settings, log)
    row = last_payment(log)
    name = f"{settings.transactions_topic}/0/{log.offsets[row]}"

    code, lines = printed(replay, settings, name)
    json_code, json_lines = printed(replay, settings, name, "--json")

    found = json.loads("\n".join(json_lines))
    value = json.loads(log.values[row] or b"")
    assert code == json_code == 0
    assert lines[-1].endswith(", just so")
    assert found["transaction_id"] == value["transaction_id"]
    assert found["features"]["amount"] == value["amount"]
    assert list(found["features"]) == list(models[1].spec.feature_names)
    assert found["published"].startswith(f"{settings.scores_topic}/0/")
    reasons = models[1].reasons
    assert reasons is not None
    raw = sum(each["contribution"] for each in found["reasons"])
    odds = math.exp(raw + reasons.contributions.base)
    assert found["score"] == pytest.approx(odds / (1 + odds), abs=1e-5)
    assert all(each["text"] in "\n".join(lines) for each in found["reasons"])


def test_replay_by_id_finds_the_payment(
    settings: Settings, models: tuple[Settings, LoadedModel], printed: Printed
) -> None:
    create(settings)
    log = fill(settings)
    publish(settings.bootstrap_servers, answers(settings, models[1], log))
    commit(settings, log)
    row = last_payment(log)
    wanted = json.loads(log.values[row] or b"")["transaction_id"]

    code, lines = printed(replay, settings, "--transaction-id", wanted, "--json")

    (found,) = json.loads("\n".join(lines))
    assert code == 0
    assert found["record"] == f"{settings.transactions_topic}/0/{log.offsets[row]}"
    with pytest.raises(InvalidConfig, match="no payment with the id"):
        run_command(replay, settings, "--transaction-id", "nobody's")


@pytest.mark.parametrize(
    ("alter", "names"),
    [(altered_score(score=0.123), ["score"]), (flip_digest, ["features"])],
)
def test_replay_names_what_differs(
    settings: Settings,
    models: tuple[Settings, LoadedModel],
    printed: Printed,
    alter: Callable[[Output], Output],
    names: list[str],
) -> None:
    create(settings)
    log = fill(settings)
    row = last_payment(log)
    published = answers(settings, models[1], log)
    published[row] = alter(published[row])
    publish(settings.bootstrap_servers, published)
    name = f"{settings.transactions_topic}/0/{log.offsets[row]}"

    code, lines = printed(replay, settings, name, "--json")

    assert code == 1
    assert json.loads("\n".join(lines))["differences"] == names


def test_replay_of_a_dead_letter_says_why(
    settings: Settings, models: tuple[Settings, LoadedModel], printed: Printed
) -> None:
    create(settings)
    log = fill(settings)
    publish(settings.bootstrap_servers, answers(settings, models[1], log))
    row = next(i for i, value in enumerate(log.values) if value == b"{")
    name = f"{settings.transactions_topic}/0/{log.offsets[row]}"

    code, lines = printed(replay, settings, name)

    assert code == 0
    assert any(line.split() == ["reason", "not_json"] for line in lines)
    assert any(f"{settings.dead_letters_topic}/0/" in line for line in lines)


def test_replay_of_what_was_not_answered_says_so(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    log = fill(settings)
    name = f"{settings.transactions_topic}/0/{log.offsets[last_payment(log)]}"

    code, lines = printed(replay, settings, name)

    assert code == 1
    assert any(line.split() == ["published", "nowhere"] for line in lines)


def test_replay_of_a_marker_is_refused(settings: Settings) -> None:
    create(settings)
    log = fill(settings)
    marker = log.offsets[-1] + 1

    with pytest.raises(StateUnusable, match="holds no record"):
        run_command(replay, settings, f"{settings.transactions_topic}/0/{marker}")


@pytest.mark.parametrize("text", ["", "transactions", "other/0/1", "transactions/0/-1"])
def test_replay_refuses_what_are_no_coordinates(
    models: tuple[Settings, LoadedModel], text: str
) -> None:
    with pytest.raises(InvalidConfig, match="TOPIC/PARTITION/OFFSET"):
        run_command(replay, models[0], text)


def test_inspect_decodes_what_the_group_committed(
    settings: Settings, printed: Printed
) -> None:
    create(settings)
    log = fill(settings)
    commit(settings, log)

    code, lines = printed(inspect, settings, "--offsets", "--json")

    first, second = json.loads("\n".join(lines))["partitions"]
    assert code == 0
    assert first["committed"] == log.offsets[-1] + 1
    assert (first["fold_start"], first["answered_from"]) == (0, 0)
    assert second["committed"] is None


def last_payment(log: RecordBatch) -> int:
    """The last row that is scored in full: no repeat and not late."""
    return max(
        row
        for row, (key, value) in enumerate(zip(log.keys, log.values, strict=True))
        if value
        and value.startswith(b'{"transaction_id"')
        and key != b"somebody else"
        and json.loads(value)["event_time"] == log.timestamps_ms[row]
    )
