"""Every error of the client has one action; the table is the specification."""

from __future__ import annotations

import itertools

import pytest
from confluent_kafka import KafkaError

from worker.kafka.faults import Action, Call, Notice, action_for, notice_of

#: Every code that the client knows, by name.
CODES = {
    name: value
    for name in dir(KafkaError)
    if not name.startswith("__") and isinstance(value := getattr(KafkaError, name), int)
}

TAKEN_OVER = {
    "FENCED_INSTANCE_ID",
    "INVALID_PRODUCER_EPOCH",
    "PRODUCER_FENCED",
    "UNRELEASED_INSTANCE_ID",
    "_FENCED",
}

#: Without any flag these are waited out, whatever was asked.
REPEATED = {
    "BROKER_NOT_AVAILABLE",
    "CONCURRENT_TRANSACTIONS",
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "FENCED_LEADER_EPOCH",
    "FETCH_SESSION_ID_NOT_FOUND",
    "INVALID_FETCH_SESSION_EPOCH",
    "KAFKA_STORAGE_ERROR",
    "LEADER_NOT_AVAILABLE",
    "NETWORK_EXCEPTION",
    "NOT_CONTROLLER",
    "NOT_COORDINATOR",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    "NOT_LEADER_FOR_PARTITION",
    "OFFSET_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
    "THROTTLING_QUOTA_EXCEEDED",
    "UNKNOWN_LEADER_EPOCH",
    "UNSTABLE_OFFSET_COMMIT",
    "_ALL_BROKERS_DOWN",
    "_IN_PROGRESS",
    "_MSG_TIMED_OUT",
    "_PREV_IN_PROGRESS",
    "_RESOLVE",
    "_RETRY",
    "_SSL",
    "_TIMED_OUT",
    "_TIMED_OUT_QUEUE",
    "_TRANSPORT",
    "_WAIT_CACHE",
    "_WAIT_COORD",
}

REFUSED = {
    "CLUSTER_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "_AUTHENTICATION",
}

MOVING = {
    "FENCED_MEMBER_EPOCH",
    "ILLEGAL_GENERATION",
    "MEMBER_ID_REQUIRED",
    "REBALANCE_IN_PROGRESS",
    "STALE_MEMBER_EPOCH",
    "UNKNOWN_MEMBER_ID",
    "_ASSIGNMENT_LOST",
    "_MAX_POLL_EXCEEDED",
}

NO_TOPIC = {
    "INCONSISTENT_TOPIC_ID",
    "TOPIC_EXCEPTION",
    "UNKNOWN_TOPIC_ID",
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_PARTITION",
    "_UNKNOWN_TOPIC",
}

UNFETCHABLE = {
    "INVALID_MSG",
    "INVALID_MSG_SIZE",
    "INVALID_RECORD",
    "OFFSET_OUT_OF_RANGE",
    "UNSUPPORTED_COMPRESSION_TYPE",
    "_AUTO_OFFSET_RESET",
    "_BAD_COMPRESSION",
    "_BAD_MSG",
    "_LOG_TRUNCATION",
}

IN_A_COMMIT = {Call.PRODUCE, Call.OFFSETS, Call.OFFSETS_ALONE}


STATE_ERRORS = {
    Call.BEGIN: Action.REPLACE,
    Call.PRODUCE: Action.ABORT,
    Call.OFFSETS: Action.ABORT,
}


def expected_without_flags(name: str, call: Call) -> Action:
    if name in TAKEN_OVER:
        return Action.FENCED
    if call is Call.ABORT and name != "_FATAL":
        return Action.REPLACE
    if name in REPEATED:
        return Action.REPEAT
    if name == "_STATE":
        return STATE_ERRORS.get(call, Action.GIVE_UP)
    if call in IN_A_COMMIT and name in REFUSED | MOVING | NO_TOPIC:
        return Action.ABORT
    return Action.GIVE_UP


@pytest.mark.parametrize("call", Call)
def test_a_code_without_flags_has_the_action_of_the_table(call: Call) -> None:
    found = {name: action_for(KafkaError(code), call) for name, code in CODES.items()}

    assert found == {name: expected_without_flags(name, call) for name in CODES}


@pytest.mark.parametrize("call", [call for call in Call if call is not Call.ABORT])
def test_what_the_client_says_about_an_error_comes_before_its_code(call: Call) -> None:
    for name in CODES.keys() - {"_FATAL"}:
        abortable = KafkaError(CODES[name], txn_requires_abort=True)
        assert action_for(abortable, call) is Action.ABORT, name
    for name in CODES.keys() - TAKEN_OVER - {"_FATAL"}:
        retriable = KafkaError(CODES[name], retriable=True)
        assert action_for(retriable, call) is Action.REPEAT, name


@pytest.mark.parametrize("call", Call)
def test_a_fatal_error_ends_the_process(call: Call) -> None:
    for name, code in CODES.items():
        end = Action.FENCED if name in TAKEN_OVER else Action.GIVE_UP
        assert action_for(KafkaError(code, fatal=True), call) is end, name


def test_an_abort_that_fails_costs_the_producer_its_place() -> None:
    flags = itertools.product([False, True], repeat=2)
    for retriable, abortable in flags:
        error = KafkaError(
            KafkaError._TIMED_OUT, retriable=retriable, txn_requires_abort=abortable
        )
        assert action_for(error, Call.ABORT) is Action.REPLACE


def expected_notice(name: str) -> Notice:
    for names, notice in (
        ({"_PARTITION_EOF"}, Notice.END),
        (TAKEN_OVER, Notice.FENCED),
        (REFUSED, Notice.REFUSED),
        (UNFETCHABLE, Notice.UNFETCHABLE),
        (NO_TOPIC, Notice.NO_TOPIC),
        (REPEATED | MOVING, Notice.PASSING),
    ):
        if name in names:
            return notice
    return Notice.GIVE_UP


def test_an_error_in_place_of_a_record_means_what_the_table_says() -> None:
    found = {name: notice_of(KafkaError(code)) for name, code in CODES.items()}

    assert found == {name: expected_notice(name) for name in CODES}


def test_every_code_of_the_client_is_looked_at() -> None:
    assert len(CODES) > 150


def test_a_fatal_error_of_the_consumer_does_not_say_so_itself() -> None:
    """It comes as code _FATAL with fatal() False; only its text tells the reason."""
    text = "Fatal error: Broker: Static consumer fenced by other consumer"

    assert notice_of(KafkaError(KafkaError._FATAL, text)) is Notice.FENCED
    assert notice_of(KafkaError(KafkaError._FATAL, "Local: no idea")) is Notice.GIVE_UP


def test_an_unknown_code_ends_the_process() -> None:
    assert action_for(KafkaError(9999), Call.COMMIT) is Action.GIVE_UP
    assert notice_of(KafkaError(9999)) is Notice.GIVE_UP
