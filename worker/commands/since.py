"""An audit from a moment on: which records it looks at."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from worker.audit.scope import Scope
from worker.kafka.admin import Cluster
from worker.kafka.reader import LogReader, Span
from worker.pipeline import Topology

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment(text: str) -> dt.datetime:
    """Read a time with an offset; without one, nobody could know which is meant.

    Raises
    ------
    ArgumentTypeError
        It is none.
    """
    with suppress(ValueError):
        found = dt.datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise argparse.ArgumentTypeError(
        f"{text}: expected a time with its offset, such as 2018-08-31T14:00:00Z"
    )


def begun_at(
    since: dt.datetime,
    scopes: Sequence[Scope],
    topology: Topology,
    cluster: Cluster,
    reader: LogReader,
) -> Iterator[Scope]:
    """Leave out the records before a time, but for the fold: rows depend on them.

    What stands between two stages is audited by what it follows from.
    """
    since_ms = (since - _EPOCH) // dt.timedelta(milliseconds=1)
    outside = [scope for scope in scopes if scope.place.topic not in topology.inner]
    hints = cluster.offsets_at({scope.place: since_ms for scope in outside})
    for scope in scopes:
        first = scope.first
        if scope in outside:
            first = max(
                first, _first_since(since_ms, scope, hints[scope.place], reader)
            )
        if first == scope.first:
            yield scope
            continue
        note = (
            f"{scope.place.topic}/{scope.place.partition}: offsets {scope.first} to "
            f"{first - 1} came before {since.isoformat()} and are not audited"
        )
        yield replace(scope, first=first, notices=[*scope.notices, note])


def _first_since(
    since_ms: int, scope: Scope, hint: int | None, reader: LogReader
) -> int:
    """Return the first record of a time; the hint may be a marker before it."""
    if hint is not None:
        for batch in reader.read(Span(scope.place, hint, scope.limit)):
            for offset, ms in zip(
                batch.records.offsets, batch.records.timestamps_ms, strict=True
            ):
                if ms >= since_ms:
                    return offset
    return scope.limit
