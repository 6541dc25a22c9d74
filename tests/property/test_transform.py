"""The transform equals the oracle, whatever the log, and however it is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle import oracle_rows
from tests.transform_builders import Row, batch_of, everything
from worker.features import FeatureTransform, row_digests

SPEC = everything()
TRANSFORM = FeatureTransform(SPEC)
START_MS = 1_700_000_000_000

#: Rounded twice on different paths; everything else is equal to the bit.
INEXACT = [i for i, name in enumerate(SPEC.feature_names) if "_std" in name]
EXACT = [i for i in range(len(SPEC.feature_names)) if i not in INEXACT]


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Logs of a few keys: mostly in order, with ties, repeats, and late events."""
    rows: list[Row] = []
    now_ms = START_MS
    for i in range(draw(st.integers(0, 40))):
        now_ms += draw(st.sampled_from([0, 1, 999, 1000, 5000, 10_000, 30_000]))
        back_ms = draw(
            st.sampled_from([0, 0, 0, 0, 1000, 5000, 19_000, 21_000, 90_000])
        )
        key = draw(st.sampled_from(["a", "b", "a key that is longer than fifteen"]))
        cents = draw(st.sampled_from([0, 1, 500, 501, 999, 10**12, -700]))
        items = draw(st.sampled_from([None, -3, 0, 2, 7]))
        shop = draw(st.sampled_from([None, "", "x", "y", "z"]))
        if rows and draw(st.integers(0, 5)) == 0:
            again = rows[draw(st.integers(0, len(rows) - 1))]
            rows.append((again[0], again[1], again[2], cents, items, shop))
        else:
            rows.append((str(i), now_ms - back_ms, key, cents, items, shop))
    return rows


@settings(max_examples=300, deadline=None)
@given(logs())
def test_every_row_equals_its_recomputation_from_the_whole_log(log: list[Row]) -> None:
    """X, late and duplicate are those of the oracle, to the bit (deviations: 1e-9)."""
    batch = batch_of(log)

    rows = TRANSFORM.transform(batch)

    expected = oracle_rows(SPEC, batch)
    assert expected.late == rows.late.tolist()
    assert expected.duplicate == rows.duplicate.tolist()
    np.testing.assert_array_equal(expected.X[:, EXACT], rows.X[:, EXACT])
    np.testing.assert_allclose(
        expected.X[:, INEXACT], rows.X[:, INEXACT], rtol=1e-9, atol=1e-9
    )


@given(logs(), st.data())
def test_no_split_into_batches_changes_a_bit(
    log: list[Row], data: st.DataObject
) -> None:
    """Any cuts give the bytes of one batch."""
    batch = batch_of(log)
    whole = TRANSFORM.transform(batch)
    cuts = data.draw(st.lists(st.integers(0, len(log)), max_size=8).map(sorted))

    state = TRANSFORM.new_state()
    parts = [
        TRANSFORM.transform(batch.take(slice(a, b)), state)
        for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)
    ]

    assert whole.X.tobytes() == b"".join(part.X.tobytes() for part in parts)
    assert whole.late.tolist() == [x for part in parts for x in part.late.tolist()]


@given(logs())
def test_rows_depend_on_no_other_key(log: list[Row]) -> None:
    """Without the others' values, a key's rows are the same; only time is shared."""
    batch = batch_of(log)
    other = batch_of(
        [row if row[2] == "a" else (*row[:3], 123, 1, "other") for row in log]
    )
    mine = [i for i, row in enumerate(log) if row[2] == "a"]

    assert (
        TRANSFORM.transform(batch).X[mine].tobytes()
        == TRANSFORM.transform(other).X[mine].tobytes()
    )


@given(logs(), st.data())
def test_rows_depend_on_nothing_that_follows(
    log: list[Row], data: st.DataObject
) -> None:
    """Cutting the log after a row leaves the rows before as they were."""
    cut = data.draw(st.integers(0, len(log)))

    whole = TRANSFORM.transform(batch_of(log)).X[:cut]

    assert TRANSFORM.transform(batch_of(log[:cut])).X.tobytes() == whole.tobytes()


@given(logs())
def test_starting_a_retention_before_the_watermark_is_early_enough(
    log: list[Row],
) -> None:
    """Replay from the first event within the retention gives the same next rows.

    The condition of recovery: an event may be left out of the replay when it, and
    all before it in the log, are older than watermark - retention.
    """
    batch = batch_of(log)
    whole = TRANSFORM.transform(batch)
    for at in range(1, len(log)):
        oldest = int(whole.watermarks_ms[at - 1]) - SPEC.retention_ms
        times = batch.event_time_ms[:at]
        kept = np.flatnonzero(times > oldest)
        start = int(kept[0])
        state = TRANSFORM.new_state()
        TRANSFORM.transform(batch.take(slice(start, at)), state)
        live = TRANSFORM.transform(batch.take(slice(at, len(log))), state)
        if int(whole.watermarks_ms[max(start - 1, 0)]) <= oldest or start == 0:
            assert whole.X[at:].tobytes() == live.X.tobytes()


@pytest.mark.parametrize("count", [0, 1])
def test_tiny_batches_have_the_right_shape(count: int) -> None:
    """No event, no row."""
    one: Row = ("1", START_MS, "a", 100, None, None)
    rows = [one][:count]

    result = TRANSFORM.transform(batch_of(rows))

    assert (count, len(SPEC.feature_names)) == result.X.shape
    assert (count,) == row_digests(result.X).shape


def test_state_is_freed_as_time_passes() -> None:
    """Keys that move on leave neither keys nor events behind."""
    state = TRANSFORM.new_state()
    largest = 0
    for step in range(60):
        rows: list[Row] = [
            (f"{step}-{i}", START_MS + step * 60_000 + i, f"{step}-{i}", 100, 1, "x")
            for i in range(500)
        ]
        TRANSFORM.transform(batch_of(rows), state)
        largest = max(largest, state.key_count)

    assert largest <= 4 * 500
    assert state.event_count <= 4 * 500


@settings(max_examples=200)
@given(logs(), st.data())
def test_a_snapshot_taken_in_slices_restores_the_state(
    log: list[Row], data: st.DataObject
) -> None:
    """Slices of different offsets, a replay from the first, and every later row.

    log      0 ....... o1 ... o2 .... o3 ....... end
    slices             |slots |slots  |slots
    replay             |----------------------->  each key from its own slice on
    """
    batch = batch_of(log)
    whole = TRANSFORM.transform(batch)
    cuts = data.draw(st.lists(st.integers(0, len(log)), min_size=1, max_size=4))
    cuts.sort()
    state, slices, done, first_slot, watermark_ms = (
        TRANSFORM.new_state(),
        [],
        0,
        0,
        None,
    )
    for cut in cuts:
        TRANSFORM.transform(batch.take(slice(done, cut)), state)
        watermark_ms = state.watermark_ms if watermark_ms is None else watermark_ms
        last_slot = 10**6 if cut is cuts[-1] else first_slot + 1
        slices.append(state.copy_out(first_slot, last_slot, cut))
        first_slot, done = first_slot + 1, cut

    restored = TRANSFORM.new_state()
    assert watermark_ms is not None
    restored.start_at(watermark_ms)
    for state_slice in slices:
        restored.take_in(state_slice)
    replayed = np.arange(cuts[0], len(log))
    rows = TRANSFORM.transform(
        batch.take(slice(cuts[0], len(log))), restored, offsets=replayed
    )

    after = cuts[-1]
    assert whole.X[after:].tobytes() == rows.X[after - cuts[0] :].tobytes()
