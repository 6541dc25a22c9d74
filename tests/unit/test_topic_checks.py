"""Every way in which topics can make answers wrong is found, with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.label_builders import ROUTED, WITH_LABELS
from tests.small_models import ONE_ENTITY
from worker.commands.findings import Finding, Level, exit_code
from worker.commands.samples import Rate
from worker.commands.topic_checks import Wanted, check_topics
from worker.errors import ExitCode
from worker.features import Spec
from worker.kafka.admin import TopicFacts
from worker.pipeline import TopicNames, Topology

DAY_MS = 86_400_000
NAMES = TopicNames("transactions", "labels", "scores", "dead-letters")


def wanted(spec_text: str) -> Wanted:
    topology = Topology.of(Spec.from_toml(spec_text), "group", NAMES)
    return Wanted(topology, retention_ms=31 * DAY_MS)


WANTED = wanted(ONE_ENTITY)
STAGED = wanted(WITH_LABELS)
(INNER,) = STAGED.topology.inner

CONFIG = {
    "cleanup.policy": "delete",
    "retention.ms": str(62 * DAY_MS),
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}


def topics(of: Wanted = WANTED, **changes: TopicFacts | None) -> dict[str, TopicFacts]:
    facts = {
        name: TopicFacts(name, 4, 3, frozenset({"READ", "WRITE"}), CONFIG)
        for name in of.names
    }
    named = {name.replace("_", "-"): topic for name, topic in changes.items()}
    return {n: f for n, f in (facts | named).items() if f is not None}


def topic(name: str, config: Mapping[str, str] | None = None) -> TopicFacts:
    return TopicFacts(name, 4, 3, None, {**CONFIG, **(config or {})})


def findings(rate: Rate | None = None, **changes: TopicFacts | None) -> list[Finding]:
    rates = {} if rate is None else {"transactions": rate}
    return list(check_topics(WANTED, topics(WANTED, **changes), rates))


def not_ok(rate: Rate | None = None, **changes: TopicFacts | None) -> Finding:
    (finding,) = [f for f in findings(rate, **changes) if f.level is not Level.OK]
    return finding


def not_ok_of_stages(name: str, facts: TopicFacts | None) -> Finding:
    """The one thing that is wrong when that topic of a spec with stages is so."""
    found = topics(STAGED) | ({} if facts is None else {name: facts})
    if facts is None:
        del found[name]
    (finding,) = [f for f in check_topics(STAGED, found, {}) if f.level is not Level.OK]
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


def test_an_inner_topic_must_take_the_largest_payment() -> None:
    small = topic(INNER, {"max.message.bytes": str(2 * 64 * 1024 - 1)})

    found = check_topics(STAGED, topics(STAGED) | {INNER: small}, {})

    (finding,) = [each for each in found if each.level is not Level.OK]
    assert (finding.subject, finding.code) == (INNER, ExitCode.STATE)
    assert "max.message.bytes=1000000" in finding.text


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


def test_the_topics_of_a_spec_with_stages_are_all_looked_at() -> None:
    found = list(check_topics(STAGED, topics(STAGED), {INNER: Rate(1000, 200)}))

    assert {f.level for f in found} == {Level.OK}
    assert list(dict.fromkeys(f.subject for f in found)) == [
        "transactions",
        "labels",
        INNER,
        "scores",
        "dead-letters",
    ]
    (kept,) = [f for f in found if f.subject == INNER and "reach" in f.text]
    assert "that takes 536 GB a copy" in kept.text


@pytest.mark.parametrize("name", ["labels", INNER])
def test_a_topic_of_a_stage_that_is_missing_fails(name: str) -> None:
    finding = not_ok_of_stages(name, None)

    assert (finding.subject, finding.code) == (name, ExitCode.STATE)


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("transactions", "READ"),
        ("labels", "READ"),
        (INNER, "READ"),
        (INNER, "WRITE"),
        ("scores", "WRITE"),
        ("dead-letters", "WRITE"),
    ],
)
def test_a_stage_needs_to_do_what_it_does_with_each_topic(
    name: str, operation: str
) -> None:
    allowed = frozenset({"READ", "WRITE", "DESCRIBE"}) - {operation}

    finding = not_ok_of_stages(name, replace(topic(name), operations=allowed))

    assert (finding.subject, finding.code) == (name, ExitCode.BROKER)
    assert f"add an ACL that allows {operation}" in finding.text


def test_labels_need_not_be_writable() -> None:
    readable = replace(topic("labels"), operations=frozenset({"READ"}))
    found = topics(STAGED, labels=readable)

    assert {f.level for f in check_topics(STAGED, found, {})} == {Level.OK}


@pytest.mark.parametrize(
    ("name", "loses"),
    [
        ("labels", "some are lost before they are read"),
        (INNER, "windows cannot be rebuilt"),
    ],
)
def test_compaction_of_what_stages_read_fails(name: str, loses: str) -> None:
    finding = not_ok_of_stages(name, topic(name, {"cleanup.policy": "compact"}))

    assert (finding.subject, finding.code) == (name, ExitCode.STATE)
    assert loses in finding.text


@pytest.mark.parametrize("name", ["transactions", INNER])
def test_every_log_that_is_folded_must_be_kept_as_long_as_windows_reach(
    name: str,
) -> None:
    short = topic(name, {"retention.ms": str(30 * DAY_MS)})

    finding = not_ok_of_stages(name, short)

    assert (finding.subject, finding.code) == (name, ExitCode.STATE)
    assert f"--entity-name {name}" in finding.text


def test_labels_must_be_kept_until_they_are_read_and_no_longer() -> None:
    day = topic("labels", {"retention.ms": str(DAY_MS)})
    hours = topic("labels", {"retention.ms": str(DAY_MS - 1)})

    assert {f.level for f in check_topics(STAGED, topics(STAGED, labels=day), {})} == {
        Level.OK
    }
    assert not_ok_of_stages("labels", hours).level is Level.WARN


@pytest.mark.parametrize("name", ["labels", INNER])
def test_topics_of_stages_with_other_partition_counts_fail(name: str) -> None:
    finding = not_ok_of_stages(name, replace(topic(name), partition_count=5))

    assert (finding.subject, finding.code) == ("partitions", ExitCode.STATE)
    assert f"{name} 5" in finding.text


def test_transactions_that_are_only_routed_on_need_not_be_kept() -> None:
    """Where the first entity looks at labels, its log is an inner topic."""
    routed = wanted(ROUTED)
    short = topic("transactions", {"retention.ms": str(30 * DAY_MS)})

    found = list(check_topics(routed, topics(routed, transactions=short), {}))

    assert routed.topology.is_routed
    assert {f.level for f in found} == {Level.OK}
