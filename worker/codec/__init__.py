"""JSON at the edges: records to events, scores and dead letters to records.

Owns every encoding, and the reasons why a record is no event. Knows no broker, no
feature and no model.
"""

from worker.codec.control_group import is_member
from worker.codec.dates import format_dates, parse_dates
from worker.codec.decoder import MAX_VALUE_BYTES, Decoder
from worker.codec.envelope import MAX_DEPTH
from worker.codec.headers import (
    DEAD_LETTER_HEADERS,
    DeadLetter,
    Origin,
    dead_letter_headers,
    origin_header,
    origin_headers,
    parse_dead_letter,
    parse_origin,
)
from worker.codec.schemas import (
    dead_letter_schema,
    label_record_schema,
    score_schema,
    transaction_schema,
)
from worker.codec.scores import (
    Decisions,
    Score,
    ScoreEncoder,
    ScoreReason,
    published_scores,
)
from worker.codec.times import format_times, parse_times
from worker.codec.typed_columns import columns_to_events

__all__ = [
    "DEAD_LETTER_HEADERS",
    "MAX_DEPTH",
    "MAX_VALUE_BYTES",
    "DeadLetter",
    "Decisions",
    "Decoder",
    "Origin",
    "Score",
    "ScoreEncoder",
    "ScoreReason",
    "columns_to_events",
    "dead_letter_headers",
    "dead_letter_schema",
    "format_dates",
    "format_times",
    "is_member",
    "label_record_schema",
    "origin_header",
    "origin_headers",
    "parse_dates",
    "parse_dead_letter",
    "parse_origin",
    "parse_times",
    "published_scores",
    "score_schema",
    "transaction_schema",
]
