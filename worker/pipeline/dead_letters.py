"""Makes dead letters that the broker will take: the record itself, or a pointer."""

from __future__ import annotations

from dataclasses import dataclass

from worker.codec import DeadLetter, dead_letter_headers
from worker.records import Header, Output, RecordBatch, Rejection, TopicPartition

#: Bytes that a record and its batch take on top of key, value and headers, at most.
_RECORD_BYTES = 160

#: Bytes that a header takes on top of its name and value, at most.
_HEADER_BYTES = 20


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where the records go that are no event.

    Attributes
    ----------
    max_message_bytes
        The largest record that the topic takes; larger ones leave their value behind,
        and if need be their key, and point to the original by its coordinates.
    """

    topic: str
    stage: str
    app_version: str
    model_version: str
    max_message_bytes: int

    def output(
        self, records: RecordBatch, rejection: Rejection, place: TopicPartition
    ) -> Output:
        """Return the dead letter of a rejected record."""
        row = rejection.row
        key, value = records.keys[row], records.values[row]
        headers = self._headers(records, rejection, place, is_truncated=False)
        if not self._fits(headers, key, value):
            headers = self._headers(records, rejection, place, is_truncated=True)
            key, value = key if self._fits(headers, key, None) else None, None
        return Output(self.topic, value, key, place.partition, headers)

    def _fits(
        self, headers: list[Header], key: bytes | None, value: bytes | None
    ) -> bool:
        size = message_bytes(headers, key, value)
        return size <= self.max_message_bytes

    def _headers(
        self,
        records: RecordBatch,
        rejection: Rejection,
        place: TopicPartition,
        *,
        is_truncated: bool,
    ) -> list[Header]:
        row = rejection.row
        letter = DeadLetter(
            reason=rejection.reason,
            field=rejection.field,
            stage=self.stage,
            origin=place,
            offset=records.offsets[row],
            timestamp_ms=records.timestamps_ms[row],
            app_version=self.app_version,
            model_version=self.model_version,
            payload_size=len(records.values[row] or b""),
            payload_truncated=is_truncated,
        )
        return dead_letter_headers(letter)


def message_bytes(headers: list[Header], key: bytes | None, value: bytes | None) -> int:
    """Return an upper bound of what a record takes, alone in its batch."""
    in_headers = sum(len(name.encode()) + len(text) for name, text in headers)
    overhead = _RECORD_BYTES + _HEADER_BYTES * len(headers)
    return overhead + in_headers + len(key or b"") + len(value or b"")
