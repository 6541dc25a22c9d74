"""One byte, one record, one place in the order: nothing changes unnoticed."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from tests.audited_stream import audit_stream
from tests.small_models import small_model
from tests.streams import payments, right_answers
from worker.records import Output, RecordBatch
from worker.scoring import LoadedModel

#: Says which program wrote a dead letter: the one thing that may be any text.
FREE_HEADER = "dlq.app.version"


@functools.cache
def right_stream() -> tuple[LoadedModel, RecordBatch, tuple[Output, ...]]:
    with tempfile.TemporaryDirectory() as models_dir:
        model = small_model(Path(models_dir))
    log = payments(120)
    return model, log, tuple(right_answers(model, log))


def with_flipped_bit(output: Output, part: int, bit: int) -> Output:
    """Flip a bit of the key, of the value, or of one of the headers."""
    parts = [output.key, output.value, *(text for _, text in output.headers)]
    flipped = flip(parts[part % len(parts)], bit)
    parts[part % len(parts)] = flipped
    names = [name for name, _ in output.headers]
    headers = [(n, t or b"") for n, t in zip(names, parts[2:], strict=True)]
    return output._replace(key=parts[0], value=parts[1], headers=headers)


def flip(text: bytes | None, bit: int) -> bytes:
    if not text:
        return b"x"
    at = bit // 8 % len(text)
    return text[:at] + bytes([text[at] ^ 1 << bit % 8]) + text[at + 1 :]


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@example(row=51, part=20, bit=7)
@given(st.integers(0, 119), st.integers(0, 30), st.integers(0, 4000))
def test_no_flipped_bit_gets_past_the_audit(row: int, part: int, bit: int) -> None:
    model, log, outputs = right_stream()
    altered = list(outputs)
    altered[row] = with_flipped_bit(outputs[row], part, bit)

    report = audit_stream([model], log, altered)

    changed = [
        (name, is_utf8(new))
        for (name, new), (_, old) in zip(
            altered[row].headers, outputs[row].headers, strict=True
        )
        if new != old
    ]
    assert report.is_clean() == (changed == [(FREE_HEADER, True)])


@given(st.data())
def test_no_other_order_or_number_of_answers_gets_past_the_audit(
    data: st.DataObject,
) -> None:
    model, log, outputs = right_stream()
    rows = data.draw(st.lists(st.integers(0, 119), max_size=130))
    other = [outputs[row] for row in rows]

    report = audit_stream([model], log, other)

    assert not report.is_clean()


@given(st.integers(0, 118), st.integers(1, 119))
def test_two_answers_of_one_topic_cannot_change_places(row: int, by: int) -> None:
    model, log, outputs = right_stream()
    other = min(row + by, 119)
    swapped = list(outputs)
    swapped[row], swapped[other] = swapped[other], swapped[row]

    report = audit_stream([model], log, swapped)

    topics = [
        [o for o in stream if o.topic == topic]
        for topic in ("scores", "dead-letters")
        for stream in (outputs, swapped)
    ]
    same_order = topics[0] == topics[1] and topics[2] == topics[3]
    assert report.is_clean() == same_order
