"""Recomputes one payment from the log, and compares it with what was published."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from worker.audit.fold import FoldedRecords
from worker.codec import format_times, is_member, published_scores
from worker.commands.clients import client_settings
from worker.commands.recomputing import Recomputed, Recomputing
from worker.commands.stream_audit import Models
from worker.config import Settings
from worker.errors import ExitCode, InvalidConfig
from worker.kafka.admin import Cluster
from worker.records import Flag, TopicPartition

HELP = "recompute one payment from the log, and compare it with its published score"

EPILOG = """examples:
  A payment that `verify` names, or the `origin` header of a score:
    fraud-worker replay transactions/3/8412

  A payment by its id; looks through the whole topic, and shows every record that
  carries the id:
    fraud-worker replay --transaction-id 8412

  For a program:
    fraud-worker replay transactions/3/8412 --json | jq .features

The log of the payment's partition is folded once more, from as far back as its windows
reach, by the code that trained the model. Shown are the features with their values,
their digest, the score, what each feature added to it or took from it, the flags, and
what differs from the published answer. Where a spec has several stages, the log of each
is folded, labels included, up to the record by which the payment was handed on, and
that record is named and compared, too.

Exit code 0: published just so. 1: published otherwise, or not at all."""

SETTINGS = (
    *("bootstrap_servers", "group", "transactions_topic", "labels_topic"),
    *(
        "scores_topic",
        "dead_letters_topic",
        "models_dir",
        "public_key",
        "threshold",
        "max_keys",
        "max_events",
    ),
    *("log_level", "kafka"),
)

_COORDINATES = re.compile(r"([A-Za-z0-9._-]+)/(\d{1,9})/(\d{1,18})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "record", nargs="?", metavar="TOPIC/PARTITION/OFFSET", help="the payment"
    )
    which.add_argument(
        "--transaction-id", metavar="ID", help="look for the payment with this id"
    )
    parser.add_argument(
        "--model",
        metavar="VERSION",
        help="default: the one that scored it, else the one in use",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def main(args: argparse.Namespace, settings: Settings) -> int:
    """Run the command: 0 if everything was published as recomputed, else 1."""
    wanted = None if args.record is None else _coordinates(args.record, settings)
    client = client_settings(settings)
    with (
        Cluster(client) as cluster,
        Recomputing(settings, client, cluster, Models(settings)) as recomputing,
    ):
        places = [wanted] if wanted else recomputing.find(args.transaction_id)
        found = [recomputing.recompute(*place, args.model) for place in places]
    if args.json:
        shown = [_as_dict(one) for one in found]
        print(json.dumps(shown[0] if wanted else shown, indent=2))
    else:
        print("\n\n".join("\n".join(_lines(one)) for one in found))
    is_same = all(one.published is not None and not one.differences for one in found)
    return ExitCode.OK if is_same else ExitCode.CRASHED


def _coordinates(text: str, settings: Settings) -> tuple[TopicPartition, int]:
    """Raises InvalidConfig."""
    found = _COORDINATES.fullmatch(text)
    if found is None or found[1] != settings.transactions_topic:
        problem = (
            f"{text}: expected TOPIC/PARTITION/OFFSET of the transactions topic, as in "
            f"{settings.transactions_topic}/3/8412"
        )
        raise InvalidConfig([problem], subject="command line")
    return TopicPartition(found[1], int(found[2])), int(found[3])


def _as_dict(found: Recomputed) -> dict[str, Any]:
    row, published = found.row, found.published
    facts: dict[str, Any] = {
        "record": _name(row.place, int(row.offsets[0])),
        "timestamp_ms": row.timestamps_ms[0],
        "model_version": found.model.version,
    }
    if found.handed_on:
        facts["handed_on"] = [_name(*place) for place in found.handed_on]
    facts |= _score_facts(found) if found.score is not None else _rejection_facts(row)
    facts["published"] = (
        None if published is None else _name(published.place, int(published.offsets[0]))
    )
    return facts | {"differences": found.differences, "notices": found.notices}


def _score_facts(found: Recomputed) -> dict[str, Any]:
    row = found.row
    names = found.model.spec.feature_names
    values = (None if math.isnan(value) else value for value in row.X[0].tolist())
    score = published_scores(np.array([found.score])).tolist()[0]
    transaction_id, is_reached = row.batch.transaction_ids[0], score >= found.threshold
    in_group = is_reached and is_member(transaction_id, found.control_group_share)
    flags = zip(Flag, (row.late, row.duplicate, row.incomplete), strict=True)
    return {
        "transaction_id": transaction_id,
        "event_time": format_times(row.batch.event_time_ms)[0],
        "features": dict(zip(names, values, strict=True)),
        "digest": f"{int(row.digests[0]):016x}",
        "score": score,
        "threshold": found.threshold,
        "flagged": is_reached and not in_group,
        "control_group": in_group,
        "flags": [str(flag) for flag, is_set in flags if is_set[0]],
        "reasons": _reasons(found),
    }


def _reasons(found: Recomputed) -> list[dict[str, Any]]:
    """Return all that raised or lowered the score; nothing where that is not known."""
    if found.model.reasons is None:
        return []
    (parts,) = found.model.reasons.in_full().of_scores(
        found.row.X, np.zeros(1, np.bool_)
    )
    return [
        {"feature": each.feature, "contribution": each.contribution, "text": each.text}
        for each in parts or ()
    ]


def _rejection_facts(row: FoldedRecords) -> dict[str, Any]:
    rejection = row.rejections[0]
    assert rejection is not None, "a record is scored or rejected"
    return {"reason": str(rejection.reason), "field": rejection.field}


def _lines(found: Recomputed) -> Iterator[str]:
    """Yield one payment for people: its facts, its features, what was published."""
    facts = _as_dict(found)
    features = facts.pop("features", {})
    differences, notices = facts.pop("differences"), facts.pop("notices")
    published, reasons = facts.pop("published"), facts.pop("reasons", [])
    for name, value in facts.items():
        yield f"{name.replace('_', ' '):<16}{_text(value)}"
    if features:
        yield "features"
        width = max(map(len, features)) + 2
        yield from (f"  {name:<{width}}{_text(v)}" for name, v in features.items())
    if reasons:
        yield "reasons, by what they added to the raw score"
        yield from (
            f"  {each['contribution']:+.6f}  {each['text']}" for each in reasons
        )
    verdict = f"differs in {', '.join(differences)}" if differences else "just so"
    yield f"{'published':<16}{f'{published}, {verdict}' if published else 'nowhere'}"
    yield from (f"{'note':<16}{notice}" for notice in notices)


def _text(value: object) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _name(place: TopicPartition, offset: int) -> str:
    return f"{place.topic}/{place.partition}/{offset}"
