"""What is committed for a successor, and how it is read: see the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from worker.errors import StateUnusable
from worker.records import LogBounds, NextOffset, TopicPartition
from worker.truth.join import Join, Place
from worker.truth.tally import Tally


class Remembered(NamedTuple):
    """What a process begins with.

    Attributes
    ----------
    places
        How far each partition was read, and from where on it is needed again.
    removed
        Offsets that are needed and no longer kept.
    """

    tally: Tally
    places: Mapping[TopicPartition, Place]
    removed: int


def commits_of(join: Join) -> dict[TopicPartition, NextOffset]:
    """Return what to commit: positions as text, the tally beside one of them."""
    places = join.places()
    texts = {place: str(of.position) for place, of in places.items()}
    texts[min(places)] += f" {join.tally.to_text()}"
    return {p: NextOffset(of.needed, texts[p]) for p, of in places.items()}


def remembered(
    committed: Mapping[TopicPartition, NextOffset | None],
    bounds: Mapping[TopicPartition, LogBounds],
) -> Remembered:
    """Read what was committed; a partition without begins at its start.

    Raises
    ------
    StateUnusable
        It was committed by something else, or a topic was made anew.
    """
    tallies, places, removed = [], {}, 0
    for place, log in bounds.items():
        found = committed[place]
        if found is None:
            places[place] = Place(log.start, log.start)
            continue
        position, _, text = found.metadata.partition(" ")
        if not position.isdigit() or int(position) > log.end:
            raise StateUnusable(
                f"the group's commit for {place.topic}/{place.partition} does not fit "
                f"the partition, which ends at {log.end}. Where the topic was made "
                "anew, delete the group of `fraud-worker truth` to count anew"
            )
        removed += max(0, log.start - found.offset)
        start = max(log.start, found.offset)
        places[place] = Place(max(start, int(position)), start)
        tallies += [Tally.from_text(text)] if text else []
    if len(tallies) != any(committed.values()):
        raise StateUnusable(
            "the group of `fraud-worker truth` has committed for some of these topics "
            "and not for others. Delete it to count anew"
        )
    return Remembered(tallies[0] if tallies else Tally(), places, removed)
