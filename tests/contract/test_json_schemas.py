"""The published JSON Schemas hold for what is accepted and for what is written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.codec_builders import (
    ABSENT,
    EVENT_TIME_MS,
    decode,
    payload,
    payload_with,
    schema,
)
from tests.codec_strategies import EVERY_TYPE, json_texts, records
from worker.codec import (
    DeadLetter,
    Decoder,
    ScoreEncoder,
    ScoreReason,
    dead_letter_headers,
    dead_letter_schema,
    label_record_schema,
    score_schema,
    transaction_schema,
)
from worker.codec.labels import label_schema
from worker.records import EventBatch, Field, Reason, TopicPartition

LABEL = label_schema(EVERY_TYPE, ["customer_id"])

TRANSACTION = Draft202012Validator(transaction_schema(EVERY_TYPE))
LABEL_RECORD = Draft202012Validator(label_record_schema(EVERY_TYPE, ["customer_id"]))
SCORE = Draft202012Validator(score_schema())
DEAD_LETTER = Draft202012Validator(dead_letter_schema())

#: What the decoder refuses although JSON Schema has no words for it (and, for half of
#: a surrogate pair, although the standard library reads it).
BEYOND_SCHEMA = {
    Reason.NOT_JSON,
    Reason.TOO_MANY_DECIMALS,
    Reason.BAD_TIME,
    Reason.OUT_OF_RANGE,
    Reason.TOO_LARGE,
    Reason.TOO_DEEP,
    Reason.WRONG_TYPE,
}


def test_the_schemas_are_schemas() -> None:
    for validator in (TRANSACTION, LABEL_RECORD, SCORE, DEAD_LETTER):
        Draft202012Validator.check_schema(validator.schema)


@given(value=records())
@settings(max_examples=300)
def test_what_the_decoder_accepts_is_valid(value: bytes) -> None:
    decoded = decode(value, of=EVERY_TYPE)
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        assert decoded.rejections
        return

    if not decoded.rejections:
        TRANSACTION.validate(content)
    elif decoded.rejections[0].reason not in BEYOND_SCHEMA:
        assert not TRANSACTION.is_valid(content)


LABEL_FIELDS = {
    "transaction_id": "transaction_id",
    "event_time": "event_time",
    "customer_id": "customer_id",
    "fraud": "is_online",
    "label_time": "opened",
}


def label_text(**texts: str) -> bytes:
    """A label whose fields are these texts of JSON, as far as they are given."""
    good = {
        "transaction_id": '"8412"',
        "event_time": '"2018-07-25T00:00:31Z"',
        "customer_id": '"596"',
        "fraud": "true",
        "label_time": str(EVENT_TIME_MS + 1),
    }
    members = (f'"{name}":{text}' for name, text in (good | texts).items() if text)
    return f"{{{','.join(members)}}}".encode(errors="surrogatepass")


@given(st.data())
def test_what_is_accepted_as_a_label_is_valid(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([*LABEL_FIELDS, "unknown"]))
    like = LABEL_FIELDS.get(name, name)
    value = label_text(**{name: data.draw(json_texts(like) | st.just(""))})

    (rejection,) = Decoder(LABEL, key_is_entity=None).decode(
        [None], [value], [-1]
    ).rejections or (None,)

    try:
        is_valid = LABEL_RECORD.is_valid(json.loads(value))
    except (ValueError, RecursionError):
        assert rejection is not None
        return
    if rejection is None:
        assert is_valid
    elif rejection.reason not in BEYOND_SCHEMA:
        assert not is_valid


@pytest.mark.parametrize("name", LABEL_FIELDS)
def test_every_field_of_a_label_must_be_there(name: str) -> None:
    assert LABEL_RECORD.is_valid(json.loads(label_text()))
    assert not LABEL_RECORD.is_valid(json.loads(label_text(**{name: ""})))
    assert not LABEL_RECORD.is_valid(json.loads(label_text(**{name: "null"})))


@pytest.mark.parametrize(
    "value",
    [
        payload(transaction_id=ABSENT),
        payload(terminal_id=None),
        payload(customer_id=""),
        payload(customer_id="5" * 17),
        payload(amount="57.16"),
        payload(amount=True),
        payload(amount=-0.01),
        payload(amount=1_000_000.01),
        payload(event_time="2018-07-25T00:00:31"),
        payload(event_time="yesterday"),
        payload(event_time=EVENT_TIME_MS // 1000),
        payload(event_time=EVENT_TIME_MS * 1000),
        b"[]",
        b"null",
    ],
)
def test_a_producer_that_validates_meets_most_refusals_before_they_happen(
    value: bytes,
) -> None:
    validator = Draft202012Validator(transaction_schema(schema()))

    assert decode(value).rejections
    assert not validator.is_valid(json.loads(value))
    assert validator.is_valid(json.loads(payload()))


@pytest.mark.parametrize("text", ["1", "0.1", "-0.12", "0.120", "1.000", "100.10"])
@pytest.mark.parametrize("decimals", [0, 1, 2, 9])
def test_the_pattern_of_decimal_texts_is_the_decoders(text: str, decimals: int) -> None:
    of = schema(Field("fee", "decimal", decimals=decimals, encoding="text"))
    validator = Draft202012Validator(transaction_schema(of))

    for candidate in (text, f"{text}1", f"{text}.", f"0{text}", f"{text}e1", "", "-"):
        value = payload_with("fee", json.dumps(candidate))
        is_accepted = not decode(value, of=of).rejections
        assert validator.is_valid(json.loads(value)) == is_accepted


@pytest.mark.parametrize("number", [2**63 - 1, 1 - 2**63, 10**15, -1, 2**63, -(2**63)])
def test_integers_that_identify_have_64_bits(number: int) -> None:
    of = schema(customer_id={"type": "integer"})
    value = payload(customer_id=number)

    is_valid = Draft202012Validator(transaction_schema(of)).is_valid(json.loads(value))

    assert is_valid == (not decode(value, of=of).rejections)


def test_scores_are_valid() -> None:
    bits = np.arange(8)
    batch = EventBatch(["8412"] * 8, EVENT_TIME_MS + bits * 125, {})
    reasons = [
        [
            ScoreReason("amount", 57.16, 1.5, "amount: 57.16"),
            ScoreReason("mean", None, 0.25, "mean: none"),
        ],
        *[None] * 7,
    ]

    encoder = ScoreEncoder(0.62, "2018-07-31.1")
    values = encoder.encode(
        batch,
        encoder.decide(batch.transaction_ids, bits / 7),
        bits & 1 > 0,
        bits & 2 > 0,
        bits & 4 > 0,
        reasons=reasons,
    )

    for value in values:
        SCORE.validate(json.loads(value))


@pytest.mark.parametrize(
    "change",
    [
        {"score": 1.5},
        {"score": None},
        {"flagged": 1},
        {"flags": ["early"]},
        {"event_time": "2018-07-25T00:00:31"},
        {"reasons": [{"value": 1}]},
        {"transaction_id": 8412},
    ],
)
def test_the_schema_of_scores_is_not_satisfied_by_anything(
    change: dict[str, Any],
) -> None:
    content = {
        "transaction_id": "8412",
        "event_time": "2018-07-25T00:00:31Z",
        "score": 0.9731,
        "flagged": True,
        "threshold": 0.62,
        "model_version": "v",
    }

    assert SCORE.is_valid(content)
    assert not SCORE.is_valid(content | change)


@pytest.mark.parametrize("reason", list(Reason))
def test_headers_of_dead_letters_are_valid_for_every_reason(reason: Reason) -> None:
    letter = DeadLetter(
        reason=reason,
        field=None,
        stage="customer",
        origin=TopicPartition("transactions", 3),
        offset=8412,
        timestamp_ms=-1,
        app_version="0.1.0",
        model_version="v",
        payload_size=0,
    )
    content = {name: value.decode() for name, value in dead_letter_headers(letter)}

    DEAD_LETTER.validate(content)
    assert not DEAD_LETTER.is_valid(content | {"dlq.reason": "because"})


def test_the_schema_of_a_spec_is_json() -> None:
    assert json.loads(json.dumps(TRANSACTION.schema)) == TRANSACTION.schema
