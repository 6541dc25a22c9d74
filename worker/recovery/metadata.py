"""What a commit remembers about the state at its offset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from worker.errors import StateUnusable
from worker.records import TopicPartition

#: Format of the text kept with a commit. Later versions may add keys under the same
#: number; another number means that this version cannot read it.
METADATA_FORMAT = 1


#: Later than every event.
ENDED = 2**62


@dataclass(frozen=True, slots=True)
class CommitMetadata:
    """What a commit says about the state at its offset.

    Attributes
    ----------
    watermark_ms
        Largest event time folded so far; None before the first event.
    fold_start
        Offset at which the fold began: the state is the fold of the log from here.
    answered_from
        First offset answered out of this fold; what lies below was answered out of an
        earlier one, or not at all. An audit begins here.
    incomplete_until_ms
        Events before this time may lack history from before `fold_start`.
    head_ms
        Where inputs wait for each other: no record that is still to be answered is
        older, as far as its worker knows. `ENDED`: none is left.
    """

    watermark_ms: int | None
    fold_start: int
    answered_from: int
    incomplete_until_ms: int | None = None
    head_ms: int | None = None

    def encode(self) -> str:
        """Return the compact JSON that is kept with the offset.

        >>> CommitMetadata(None, 7, 9).encode()
        '{"v":1,"w":null,"s":7,"a":9}'
        """
        fields: dict[str, int | None] = {
            "v": METADATA_FORMAT,
            "w": self.watermark_ms,
            "s": self.fold_start,
            "a": self.answered_from,
        }
        if self.incomplete_until_ms is not None:
            fields["i"] = self.incomplete_until_ms
        if self.head_ms is not None:
            fields["h"] = self.head_ms
        return orjson.dumps(fields).decode()

    @classmethod
    def decode(cls, text: str, place: TopicPartition) -> CommitMetadata | None:
        """Read it back; None for a commit without metadata, made by another tool.

        Unknown keys are ignored: a later version may have added them.

        Raises
        ------
        StateUnusable
            The text is not ours, or of a format that this version does not know.
        """
        if not text:
            return None
        fields = _parse(text, place)
        if not (_is_offset(fields.get("s")) and _is_offset(fields.get("a"))):
            raise _unreadable(place, text)
        if not all(_is_time(fields.get(name)) for name in "wih"):
            raise _unreadable(place, text)
        times = fields.get("i"), fields.get("h")
        return cls(fields.get("w"), fields["s"], fields["a"], *times)


def _parse(text: str, place: TopicPartition) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        raise _unreadable(place, text) from None
    if not isinstance(fields, dict) or fields.get("v") != METADATA_FORMAT:
        raise _unreadable(place, text)
    return fields


def _is_offset(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_time(value: object) -> bool:
    return value is None or type(value) is int


def _unreadable(place: TopicPartition, text: str) -> StateUnusable:
    return StateUnusable(
        f"{name(place)}: cannot read what the last commit says about the state "
        f"({text[:80]!r}). It was made by another version or another program; use the "
        "version that made it, or reset this group's offsets."
    )


def name(place: TopicPartition) -> str:
    """Return how messages name a partition."""
    return f"{place.topic}/{place.partition}"
