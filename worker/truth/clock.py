"""What time it is in the stream: how far event time has come for certain."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from worker.records import TopicPartition


class EventClock:
    """The time that what is still to be read should not be behind by much.

    It is the greatest event time of all scores once every partition has been read to
    its end: a partition on which nothing happens keeps nobody waiting. One that has
    not been, of labels too, holds the clock at the greatest time that was read from
    it: else a backlog would be judged before it was read.

    Parameters
    ----------
    scores
        The partitions that move the clock. Others, those of labels, only hold it.
    """

    def __init__(self, scores: Iterable[TopicPartition]):
        self._scores = frozenset(scores)
        self._seen: dict[TopicPartition, int] = {}

    def saw(self, place: TopicPartition, latest_ms: int) -> None:
        """Note the greatest time among some records of a partition."""
        self._seen[place] = max(latest_ms, self._seen.get(place, latest_ms))

    def now_ms(self, unread: Collection[TopicPartition]) -> int | None:
        """Return the time; None while it cannot be known.

        Parameters
        ----------
        unread
            The partitions that have not been read to their ends.
        """
        moving = [ms for place, ms in self._seen.items() if place in self._scores]
        if not moving or any(place not in self._seen for place in unread):
            return None
        return min([max(moving), *(self._seen[place] for place in unread)])
