"""Sends dead letters back to their topic, once each, after what was wrong is mended."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections import Counter
from collections.abc import Iterator

from worker.codec import parse_dead_letter
from worker.commands.clients import client_settings
from worker.config import Settings
from worker.errors import BrokerFailed, CommitAborted, CommitUnknown, ExitCode
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings
from worker.kafka.membership import Membership
from worker.kafka.producer import ExactlyOnceProducer
from worker.kafka.reader import LogReader, ReadBatch, Span
from worker.records import NextOffset, Output, Reason, TopicPartition

HELP = "send dead letters back to the input, once each"

EPILOG = """examples:
  See what would be sent:
    fraud-worker redrive --dry-run

  After the producers' clocks were mended, only what had that reason:
    fraud-worker redrive --reason time_ahead

Each dead letter is sent once, however often the command runs or dies: how far it got
is committed together with what it sent (group <FRAUD_GROUP>.redrive, one more for each
--reason). A payment that was answered before and comes again is answered again,
flagged duplicate, and counted once in every window. Labels go back to their own topic.
Dead letters whose payload did not fit stay where they are, and are counted."""

#: How long one commit is tried, seconds.
_PATIENCE_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--reason",
        choices=sorted(Reason),
        metavar="REASON",
        help="only dead letters of this reason (default: all)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="count them, and send nothing"
    )


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command."""
    clients = _own_group(client_settings(settings), args.reason)
    counts: Counter[str] = Counter()
    with Cluster(clients) as cluster, LogReader(clients) as reader:
        producer = None
        if not args.dry_run:
            producer = ExactlyOnceProducer(
                clients,
                membership=Membership(cluster.group_metadata),
                deadline=lambda began: began + _PATIENCE_SECONDS,
            )
        for span in _spans(cluster, settings.dead_letters_topic):
            for batch in reader.read(span, with_headers=True):
                outputs = list(_outputs(batch, settings, args.reason, counts))
                if producer is not None:
                    next_offset = NextOffset(batch.records.offsets[-1] + 1, "")
                    _commit(producer, cluster, outputs, span.place, next_offset)
                counts["sent"] += len(outputs)
        if producer is not None:
            producer.close()
    _print(counts, is_dry=args.dry_run)
    return ExitCode.OK


def _own_group(clients: ClientSettings, reason: str | None) -> ClientSettings:
    """Its progress must not be the worker's, nor that of another reason."""
    group = f"{clients.group}.redrive" + (f".{reason}" if reason else "")
    return dataclasses.replace(clients, group=group, is_static=False)


def _spans(cluster: Cluster, topic: str) -> Iterator[Span]:
    """Yield what of each partition has not been sent back yet."""
    places = cluster.partitions(topic)
    committed = cluster.committed(places)
    for place, bounds in cluster.bounds(places).items():
        offset = committed[place]
        start = max(bounds.start, 0 if offset is None else offset.offset)
        yield Span(place, start, max(start, bounds.end))


def _outputs(
    batch: ReadBatch, settings: Settings, reason: str | None, counts: Counter[str]
) -> Iterator[Output]:
    """Yield what is to be sent, payments and labels: key and value as they came."""
    records = batch.records
    inputs = settings.transactions_topic, settings.labels_topic
    for row, headers in enumerate(batch.headers):
        try:
            letter = parse_dead_letter(headers)
        except ValueError:
            counts["not written by the worker"] += 1
            continue
        if reason is not None and letter.reason != reason:
            counts["of other reasons"] += 1
        elif letter.origin.topic not in inputs:
            counts["of other topics"] += 1
        elif letter.payload_truncated:
            counts["without their payload"] += 1
        else:
            place = TopicPartition(records.topics[row], records.partitions[row])
            yield Output(
                letter.origin.topic,
                records.values[row],
                records.keys[row],
                letter.origin.partition,
                [("redriven", f"{place.topic}/{records.offsets[row]}".encode())],
            )


def _commit(
    producer: ExactlyOnceProducer,
    cluster: Cluster,
    outputs: list[Output],
    place: TopicPartition,
    next_offset: NextOffset,
) -> None:
    """Send payments and progress together, until that has worked.

    Raises
    ------
    BrokerFailed
        It has not worked for too long.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            producer.commit(outputs, {place: next_offset})
        except CommitUnknown:
            found = cluster.committed([place])[place]
            if found is not None and found.offset >= next_offset.offset:
                return
        except CommitAborted:
            continue
        else:
            return
    raise BrokerFailed("the dead letters could not be sent: the log says why")


def _print(counts: Counter[str], *, is_dry: bool) -> None:
    verb = "would be sent" if is_dry else "sent"
    print(f"{verb} {counts.pop('sent', 0)}")
    for what, count in sorted(counts.items()):
        print(f"passed over {count} {what}", file=sys.stderr)
