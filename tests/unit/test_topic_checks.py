"""Every way in which topics can make answers wrong is found, with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from worker.commands.findings import Finding, Level, exit_code
from worker.commands.samples import Rate
from worker.commands.topic_checks import Wanted, check_topics
from worker.errors import ExitCode
from worker.kafka.admin import TopicFacts

DAY_MS = 86_400_000
WANTED = Wanted("transactions", "scores", "dead-letters", retention_ms=31 * DAY_MS)

CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": str(62 * DAY_MS),
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}


def topics(**changes: TopicFacts | None) -> dict[str, TopicFacts]:
    facts = {
        name: TopicFacts(name, 4, 3, frozenset({"READ", "WRITE"}), CONFIG)
        for name in WANTED.names
    }
    named = {name.replace("_", "-"): topic for name, topic in changes.items()}
    return {n: f for n, f in (facts | named).items() if f is not None}


def topic(name: str, config: Mapping[str, str] | None = None) -> TopicFacts:
    return TopicFacts(name, 4, 3, None, {**CONFIG, **(config or {})})


def findings(rate: Rate | None = None, **changes: TopicFacts | None) -> list[Finding]:
    return list(check_topics(WANTED, topics(**changes), rate))


def not_ok(rate: Rate | None = None, **changes: TopicFacts | None) -> Finding:
    (finding,) = [f for f in findings(rate, **changes) if f.level is not Level.OK]
    return finding


def test_topics_as_the_worker_needs_them_are_fine() -> None:
    found = findings()

    assert {f.level for f in found} == {Level.OK}
    assert exit_code(found) is ExitCode.OK
    assert "kept for 62 days; windows and lateness reach 31 days back" in found[1].text


def test_a_missing_topic_says_how_to_create_it() -> None:
    finding = not_ok(scores=None)

    assert finding == (
        Level.FAIL,
        "scores",
        "does not exist: run `fraud-worker topics`",
        ExitCode.STATE,
    )


def test_unequal_partition_counts_fail() -> None:
    finding = not_ok(scores=replace(topic("scores"), partition_count=5))

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.STATE)
    assert "transactions 4, scores 5, dead-letters 4" in finding.text


@pytest.mark.parametrize("name", WANTED.names)
def test_compaction_fails(name: str) -> None:
    compacted = topic(name, {"cleanup.policy": "compact,delete"})

    finding = not_ok(None, **{name.replace("-", "_"): compacted})

    assert (finding.subject, finding.code) == (name, ExitCode.STATE)
    assert "--add-config cleanup.policy=delete" in finding.text


def test_retention_shorter_than_the_windows_fails_and_tells_the_cost() -> None:
    short = topic("transactions", {"retention.ms": str(30 * DAY_MS)})

    finding = not_ok(Rate(1000, 200), transactions=short)

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.STATE)
    assert "kept for 30 days, but windows and lateness reach 31 days" in finding.text
    assert "that takes 536 GB a copy" in finding.text
    assert f"--add-config retention.ms={62 * DAY_MS}" in finding.text


def test_retention_without_room_for_an_outage_is_a_warning() -> None:
    tight = topic("transactions", {"retention.ms": str(31 * DAY_MS)})

    assert not_ok(transactions=tight).level is Level.WARN


def test_keeping_for_ever_is_fine() -> None:
    assert {
        f.level for f in findings(transactions=topic("t", {"retention.ms": "-1"}))
    } == {Level.OK}


def test_a_limit_in_bytes_is_a_warning_on_the_input_only() -> None:
    limited = {"retention.bytes": "1000000"}

    assert not_ok(transactions=topic("transactions", limited)).level is Level.WARN
    assert {f.level for f in findings(scores=topic("scores", limited))} == {Level.OK}


def test_unsafe_replication_is_a_warning() -> None:
    unclean = topic("scores", {"unclean.leader.election.enable": "true"})
    alone = topic("scores", {"min.insync.replicas": "1"})
    single = replace(alone, replication_factor=1)

    assert "unclean" in not_ok(scores=unclean).text
    assert "min.insync.replicas" in not_ok(scores=alone).text
    assert {f.level for f in findings(scores=single)} == {Level.OK}


def test_a_dead_letter_topic_that_takes_less_than_the_input_is_a_warning() -> None:
    finding = not_ok(dead_letters=topic("dead-letters", {"max.message.bytes": "9999"}))

    assert (finding.level, finding.subject) == (Level.WARN, "dead-letters")
    assert "max.message.bytes=1048588" in finding.text


@pytest.mark.parametrize(
    ("name", "operation"),
    [("transactions", "READ"), ("scores", "WRITE"), ("dead-letters", "WRITE")],
)
def test_an_operation_that_is_not_allowed_fails_as_the_broker_would(
    name: str, operation: str
) -> None:
    allowed = frozenset({"READ", "WRITE", "DESCRIBE"}) - {operation}
    refused = replace(topic(name), operations=allowed)

    finding = not_ok(None, **{name.replace("-", "_"): refused})

    assert (finding.level, finding.code) == (Level.FAIL, ExitCode.BROKER)
    assert f"add an ACL that allows {operation}" in finding.text


def test_hidden_settings_are_a_warning() -> None:
    hidden = replace(topic("transactions"), config=None)

    finding = not_ok(transactions=hidden)

    assert finding.level is Level.WARN
    assert "DESCRIBE_CONFIGS" in finding.text


def test_the_exit_code_is_that_of_the_first_failure() -> None:
    refused = replace(topic("transactions"), operations=frozenset[str]())

    found = findings(transactions=refused, scores=None)

    assert exit_code(found) is ExitCode.BROKER
    assert str(found[0]).startswith("fail  transactions: this client may not read")
