"""What to do about each error of the client: one action for every error, none left.

The flags that the client sets decide first: it knows whether the broker took a
request. Codes decide where it sets none. What is not known here ends the process.
"""

from __future__ import annotations

import enum

from confluent_kafka import KafkaError

from worker.errors import BrokerFailed, Fatal, Fenced, StateUnusable


class Call(enum.Enum):
    """The call that failed."""

    INIT = "init"
    BEGIN = "begin"
    PRODUCE = "produce"
    OFFSETS = "offsets"
    COMMIT = "commit"
    ABORT = "abort"
    OFFSETS_ALONE = "offsets_alone"
    QUESTION = "question"


class Action(enum.Enum):
    """The recovery that an error asks for."""

    REPEAT = "the same call again, bounded by time"
    ABORT = "abort, then send the same result again, bounded by time"
    REPLACE = "a new producer under the same id, which settles what the old one left"
    FENCED = "end: another process took over"
    GIVE_UP = "end: the broker refuses, or the error is not known"


class Notice(enum.Enum):
    """What an error that the consumer delivers in place of a record means."""

    END = "no record lies behind this offset yet"
    PASSING = "the client repairs this by itself"
    REFUSED = "not allowed; ends the process if it lasts"
    UNFETCHABLE = "end: this offset cannot be read"
    NO_TOPIC = "end: the topic is not there"
    FENCED = "end: another process took over"
    GIVE_UP = "end: fatal, or not known"


#: Another process holds the transactional id or the instance name.
FENCING = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.UNRELEASED_INSTANCE_ID,
    }
)

#: Rights may be given back; they are asked for again for a while.
REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)

#: The broker or the way to it; the client goes on trying below us.
_OUTAGES = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._SSL,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._WAIT_CACHE,
        KafkaError._RETRY,
        KafkaError._IN_PROGRESS,
        KafkaError._PREV_IN_PROGRESS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_CONTROLLER,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError.FETCH_SESSION_ID_NOT_FOUND,
        KafkaError.INVALID_FETCH_SESSION_EPOCH,
    }
)

#: The group is being shared out anew; a callback will say how.
_REBALANCES = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.MEMBER_ID_REQUIRED,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._MAX_POLL_EXCEEDED,
    }
)

_NO_TOPICS = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.INCONSISTENT_TOPIC_ID,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)

_UNFETCHABLE = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._BAD_COMPRESSION,
        KafkaError._BAD_MSG,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
    }
)

#: Calls at which something is open that an abort closes without loss.
_ABORTABLE = frozenset({Call.PRODUCE, Call.OFFSETS, Call.OFFSETS_ALONE})


def action_for(error: KafkaError, call: Call) -> Action:
    """Return what an error raised by the producer, or by a question, asks for."""
    if _is_fencing(error):
        return Action.FENCED
    if error.fatal() or error.code() == KafkaError._FATAL:
        return Action.GIVE_UP
    if call is Call.ABORT:
        # Nothing that cannot be aborted is ever sent again by the same producer.
        return Action.REPLACE
    if error.txn_requires_abort():
        return Action.ABORT
    if error.retriable() or error.code() in _OUTAGES:
        return Action.REPEAT
    return _by_code(error.code(), call)


def notice_of(error: KafkaError) -> Notice:
    """Return what an error that came in place of a record means."""
    code = error.code()
    if code == KafkaError._PARTITION_EOF:
        return Notice.END
    if _is_fencing(error):
        return Notice.FENCED
    if error.fatal() or code == KafkaError._FATAL:
        return Notice.GIVE_UP
    for codes, notice in (
        (REFUSALS, Notice.REFUSED),
        (_UNFETCHABLE, Notice.UNFETCHABLE),
        (_NO_TOPICS, Notice.NO_TOPIC),
        (_OUTAGES | _REBALANCES, Notice.PASSING),
    ):
        if code in codes:
            return notice
    return Notice.PASSING if error.retriable() else Notice.GIVE_UP


def _is_fencing(error: KafkaError) -> bool:
    """Whether another process took over, and not merely this attempt failed.

    A fatal error of the consumer comes as a message whose fatal() is False, and only
    its text says that the reason was fencing.
    """
    if error.code() == KafkaError._FATAL:
        return "fenced" in error.str().lower()
    return error.code() in FENCING and not error.txn_requires_abort()


def _by_code(code: int, call: Call) -> Action:
    """Decide where the client set no flag."""
    if call is Call.BEGIN and code == KafkaError._STATE:
        # It still holds what an earlier attempt left.
        return Action.REPLACE
    if call in _ABORTABLE:
        # _STATE is how produce() says that what was begun must be aborted.
        if code == KafkaError._STATE and call is not Call.OFFSETS_ALONE:
            return Action.ABORT
        if code in REFUSALS | _REBALANCES | _NO_TOPICS:
            return Action.ABORT
    return Action.GIVE_UP


def fatal_for(notice: Notice, error: KafkaError, where: str) -> Fatal:
    """Return the end that a notice means, for an error met at that place."""
    if notice is Notice.FENCED:
        return Fenced(
            "another process has joined the group under this instance name; give each "
            "worker its own FRAUD_INSTANCE"
        )
    if notice is Notice.NO_TOPIC:
        return StateUnusable(f"there is no such topic{where}: {error.str()}")
    if notice is Notice.UNFETCHABLE:
        return StateUnusable(f"a record cannot be read{where}: {error.str()}")
    return BrokerFailed(f"consuming failed{where}: {error.str()} ({error.name()})")
