"""What time it is in the stream: how far event time has come for certain."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from worker.records import TopicPartition


class EventClock:
    """The time that what is still to be read should not be behind by much.

    It is the greatest event time of all scores, but no partition that may still bring
    something is left behind: each of these holds the clock at the greatest time that
    was read from it. Else a backlog would be judged before it was read.

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

    def now_ms(self, holding: Collection[TopicPartition]) -> int | None:
        """Return the time; None while it cannot be known.

        Parameters
        ----------
        holding
            The partitions, of labels too, that may still bring something.
        """
        moving = [ms for place, ms in self._seen.items() if place in self._scores]
        if not moving or any(place not in self._seen for place in holding):
            return None
        return min([max(moving), *(self._seen[place] for place in holding)])
