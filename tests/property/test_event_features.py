"""Categories, distances and ages equal the oracle, in training and in the stream."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journeys import TOML, TWO_ENTITIES, VOCABULARIES, journeys, payments
from tests.oracle import oracle_rows
from worker.codec import Decoder, columns_to_events
from worker.features import FeatureTransform, HistoryTransform, Spec
from worker.records import EventBatch

SPEC = journeys()
TRANSFORM = FeatureTransform(SPEC)
DECODER = Decoder(SPEC.schema)

Payments = list[dict[str, Any]]


def streamed(rows: Payments, decoder: Decoder = DECODER) -> EventBatch:
    """Events as the worker decodes them."""
    decoded = decoder.decode(
        [row["card"].encode() for row in rows],
        [json.dumps(row).encode() for row in rows],
        [-1] * len(rows),
    )
    assert not decoded.rejections
    return decoded.events


def from_file(rows: Payments) -> EventBatch:
    """Events as training reads them from typed columns."""
    columns = {
        field.name: [row.get(field.name) for row in rows]
        for field in SPEC.schema.fields
    }
    decoded = columns_to_events(SPEC.schema, columns)
    assert not decoded.rejections
    return decoded.events


@settings(max_examples=200)
@given(payments())
def test_every_row_equals_its_recomputation_from_the_whole_log(rows: Payments) -> None:
    events = streamed(rows)

    computed = TRANSFORM.transform(events)

    np.testing.assert_array_equal(oracle_rows(SPEC, events).X, computed.X)


@given(payments())
def test_later_stages_see_them_too(rows: Payments) -> None:
    """Codes and distances are computed once, in the first stage, and handed on."""
    spec = Spec.from_toml(TWO_ENTITIES).with_vocabularies(VOCABULARIES)
    with_shops = [{**row, "shop": f"s{int(row['id']) % 3}"} for row in rows]
    events = streamed(with_shops, Decoder(spec.schema))

    computed = HistoryTransform(spec).transform(events, {})

    np.testing.assert_array_equal(oracle_rows(spec, events).X, computed.X)


@given(payments(), st.data())
def test_training_gives_the_bytes_of_the_stream_however_it_is_cut(
    rows: Payments, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6).map(sorted))
    state = TRANSFORM.new_state()
    served = [
        TRANSFORM.transform(streamed(rows[first:last]), state).X.tobytes()
        for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]

    trained = HistoryTransform(SPEC).transform(from_file(rows), {})

    assert trained.X.tobytes() == b"".join(served)


@given(payments(), st.data())
def test_another_vocabulary_goes_on_with_the_same_state(
    rows: Payments, data: st.DataObject
) -> None:
    """A retrained model keeps the state: nothing but the codes differs."""
    cut = data.draw(st.integers(0, len(rows)))
    words = st.lists(st.sampled_from(["food", "fuel", "x"]), unique=True, max_size=3)
    learnt = {"category": data.draw(words), "merchant_code": ["0"]}
    retrained = Spec.from_toml(TOML).with_vocabularies(learnt)
    state = TRANSFORM.new_state()
    TRANSFORM.transform(streamed(rows[:cut]), state)

    after = FeatureTransform(retrained).transform(streamed(rows[cut:]), state)

    whole = TRANSFORM.transform(streamed(rows)).X[cut:]
    codes = [SPEC.feature_names.index(name) for name in learnt]
    np.testing.assert_array_equal(
        np.delete(whole, codes, axis=1), np.delete(after.X, codes, axis=1)
    )
    assert SPEC.state_fingerprint == retrained.state_fingerprint
    assert SPEC.feature_fingerprint != retrained.feature_fingerprint


@given(st.lists(st.text(), unique=True, max_size=3))
def test_any_vocabulary_is_written_and_read_back(words: list[str]) -> None:
    """Whatever the texts are: quotation marks, line ends, control characters."""
    learnt = {"category": words, "merchant_code": ["1"]}

    spec = Spec.from_toml(TOML).with_vocabularies(learnt)

    again = Spec.from_toml(spec.text)
    assert tuple(words) == again.features[0].vocabulary  # type: ignore[union-attr]
    assert spec.feature_fingerprint == again.feature_fingerprint
    assert spec.text.startswith(TOML.rstrip("\n"))
