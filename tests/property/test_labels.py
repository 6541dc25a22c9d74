"""Two stages and labels equal the oracle, whatever the log, and however it is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.label_builders import WITH_LABELS, batch_of_labels
from tests.oracle import Label, oracle_rows
from tests.transform_builders import Row, batch_of
from worker.features import FeatureState, FeatureTransform, Run, Spec, StateSlice
from worker.records import EventBatch

SPEC = Spec.from_toml(WITH_LABELS)
CUSTOMER, SHOP = FeatureTransform(SPEC, 0), FeatureTransform(SPEC, 1)
START_MS = 1_700_000_000_000

Log = tuple[list[Row], list[Label]]


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Payments at a few shops, and labels: early, late, repeated, of nobody."""
    rows: list[Row] = []
    labels: list[Label] = []
    now_ms = START_MS
    for i in range(draw(st.integers(0, 40))):
        now_ms += draw(st.sampled_from([0, 1, 999, 1000, 5000, 10_000, 30_000]))
        back_ms = draw(st.sampled_from([0, 0, 0, 0, 1000, 5000, 19_000, 21_000]))
        key = draw(st.sampled_from(["a", "b"]))
        shop = draw(st.sampled_from(["x", "y", "a shop with a long name"]))
        cents = draw(st.sampled_from([1, 500, 501, 999]))
        rows.append((str(i), now_ms - back_ms, key, cents, None, shop))
    for _ in range(draw(st.integers(0, 25)) if rows else 0):
        at = draw(st.integers(0, len(rows) - 1))
        row = rows[at]
        known_ms = row[1] + draw(st.sampled_from([-1000, 0, 5000, 15_000, 40_000]))
        wrong_ms = draw(st.sampled_from([0, 0, 0, 0, 1]))
        near = st.integers(max(0, at - 2), min(at + 3, len(rows)))
        before = draw(near | st.integers(0, len(rows)))
        fraud = draw(st.sampled_from([True, True, True, False]))
        key = row[5] or ""
        labels.append(Label(row[0], row[1] + wrong_ms, key, fraud, known_ms, before))
    labels.sort(key=lambda label: label.before)
    return rows, labels


def both_stages(
    batch: EventBatch,
    labels: Sequence[Label],
    customers: FeatureState,
    shops: FeatureState,
) -> np.ndarray:
    """X of a part of a log, whose labels' `before` count from its first event."""
    first = CUSTOMER.transform(batch, customers)
    rows = SHOP.transform(batch, shops, labels=batch_of_labels(labels), given=first.X)
    return rows.X


@settings(max_examples=400, deadline=None)
@given(logs())
def test_every_row_equals_its_recomputation_from_events_and_labels(log: Log) -> None:
    """To the bit."""
    rows, labels = log
    batch = batch_of(rows)

    X = both_stages(batch, labels, CUSTOMER.new_state(), SHOP.new_state())

    np.testing.assert_array_equal(oracle_rows(SPEC, batch, labels).X, X)


@given(logs(), st.data())
def test_no_split_into_batches_changes_a_bit(log: Log, data: st.DataObject) -> None:
    """Any cuts give the bytes of one batch, labels at a cut on either side of it."""
    rows, labels = log
    batch = batch_of(rows)
    whole = both_stages(batch, labels, CUSTOMER.new_state(), SHOP.new_state())
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6).map(sorted))
    customers, shops = CUSTOMER.new_state(), SHOP.new_state()
    parts, done = [], 0
    for first, last in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        up_to = sum(label.before <= last for label in labels)
        if up_to > done and data.draw(st.booleans()) and last < len(rows):
            # Those behind the last event of a part may as well begin the next one.
            up_to = max(done, sum(label.before < last for label in labels))
        own = [shifted(label, -first) for label in labels[done:up_to]]
        part = batch.take(slice(first, last))
        parts.append(both_stages(part, own, customers, shops))
        done = up_to

    assert np.concatenate(parts).tobytes() == whole.tobytes()


@given(st.lists(logs(), min_size=1, max_size=3), st.data())
def test_logs_that_share_a_batch_do_not_touch_each_other(
    several: list[Log], data: st.DataObject
) -> None:
    """Each has the bytes that it has alone: events, labels and states of its own."""
    cuts = [data.draw(st.integers(0, len(rows))) for rows, _ in several]
    states = [SHOP.new_state() for _ in several]
    before, after = (
        shared([part_of(*of) for of in zip(several, cuts, sides, strict=True)], states)
        for sides in ([True] * len(several), [False] * len(several))
    )

    for (rows, labels), first, last in zip(several, before, after, strict=True):
        alone = both_stages(
            batch_of(rows), labels, CUSTOMER.new_state(), SHOP.new_state()
        )
        assert np.concatenate((first, last)).tobytes() == alone.tobytes()


def part_of(log: Log, cut: int, is_first: bool) -> tuple[Log, np.ndarray]:
    """Return a log up to a cut, or from there, with what its first stage gives."""
    rows, labels = log
    given = CUSTOMER.transform(batch_of(rows)).X
    if is_first:
        earlier = [each for each in labels if each.before <= cut]
        return (rows[:cut], earlier), given[:cut]
    later = [shifted(each, -cut) for each in labels if each.before > cut]
    return (rows[cut:], later), given[cut:]


def shared(
    parts: Sequence[tuple[Log, np.ndarray]], states: Sequence[FeatureState]
) -> list[np.ndarray]:
    """Transform parts of several logs as one batch; return the rows of each."""
    all_rows, all_labels = list[Row](), list[Label]()
    for (rows, labels), _ in parts:
        all_labels += [shifted(label, len(all_rows)) for label in labels]
        all_rows += rows
    X = SHOP.transform_runs(
        batch_of(all_rows),
        [
            Run(state, len(rows), len(labels))
            for ((rows, labels), _), state in zip(parts, states, strict=True)
        ],
        labels=batch_of_labels(all_labels),
        given=np.concatenate([given for _, given in parts]),
    ).X
    ends = np.cumsum([len(rows) for (rows, _), _ in parts])
    return np.split(X, ends[:-1])


@settings(max_examples=200)
@given(logs(), st.data())
def test_a_snapshot_in_slices_keeps_labels_also_those_that_wait(
    log: Log, data: st.DataObject
) -> None:
    """Slices of different offsets, a replay from the first, and every later row."""
    rows, labels = log
    batch = batch_of(rows)
    offsets, label_offsets = offsets_of(len(rows), labels)
    given = CUSTOMER.transform(batch).X
    whole = SHOP.transform(batch, labels=batch_of_labels(labels), given=given).X
    cuts = data.draw(st.lists(st.integers(0, len(rows)), min_size=1, max_size=4))
    cuts.sort()
    state, done, slot, watermark_ms = SHOP.new_state(), 0, 0, None
    slices: list[StateSlice] = []

    def part(first: int, last: int) -> list[tuple[Label, int]]:
        """Labels that stand behind event `first` and before event `last`."""
        return [
            (shifted(label, -first), offset)
            for label, offset in zip(labels, label_offsets, strict=True)
            if (first < label.before or first == 0) and label.before <= last
        ]

    for cut in cuts:
        if cut > done or (cut == 0 and not slices):
            events = batch.take(slice(done, cut))
            own = batch_of_labels([label for label, _ in part(done, cut)])
            SHOP.transform(events, state, labels=own, given=given[done:cut])
        watermark_ms = state.watermark_ms if watermark_ms is None else watermark_ms
        next_offset = next_offset_at(cut, len(rows), labels)
        last_slot = 10**6 if cut is cuts[-1] else slot + 1
        slices.append(state.copy_out(slot, last_slot, next_offset))
        slot, done = slot + 1, cut

    restored = SHOP.new_state()
    assert watermark_ms is not None
    restored.start_at(watermark_ms)
    for state_slice in slices:
        restored.take_in(state_slice)
    first = cuts[0]
    to_replay = [
        (label, offset)
        for label, offset in part(first, len(rows))
        if offset >= next_offset_at(first, len(rows), labels)
    ]
    replayed = SHOP.transform(
        batch.take(slice(first, len(rows))),
        restored,
        offsets=np.array(offsets[first:], np.int64),
        labels=batch_of_labels(
            [label for label, _ in to_replay],
            [offset for _, offset in to_replay],
        ),
        given=given[first:],
    ).X

    after = cuts[-1]
    assert whole[after:].tobytes() == replayed[after - first :].tobytes()


def shifted(label: Label, by: int) -> Label:
    return Label(
        label.identity,
        label.time_ms,
        label.key,
        label.fraud,
        label.label_time_ms,
        label.before + by,
    )


def offsets_of(count: int, labels: Sequence[Label]) -> tuple[list[int], list[int]]:
    """Offsets of events and of labels in one log."""
    befores = [label.before for label in labels]
    events = [i + sum(before <= i for before in befores) for i in range(count)]
    return events, [before + j for j, before in enumerate(befores)]


def next_offset_at(cut: int, count: int, labels: Sequence[Label]) -> int:
    """The offset behind the labels that follow event `cut` - 1."""
    return cut + sum(label.before <= cut for label in labels)


def test_a_label_that_is_taken_back_before_its_payment_comes_does_not_count() -> None:
    """Fraud, then genuine, then the payment, then one that would see it."""
    rows = [payment("0", 0), payment("1", 30_000)]
    labels = [label_of(rows[0], before=0, fraud=fraud) for fraud in (True, False)]
    batch = batch_of(rows)

    X = both_stages(batch, labels, CUSTOMER.new_state(), SHOP.new_state())

    assert X[1, column("frauds_60s")] == 0
    np.testing.assert_array_equal(oracle_rows(SPEC, batch, labels).X, X)


def test_a_payment_inserted_after_a_label_does_not_move_the_label() -> None:
    """The label's batch holds a late payment too, which shifts the labelled one."""
    earlier = [payment("0", 10_000), payment("1", 12_000)]
    later = [payment("2", 5_000), payment("3", 40_000)]
    label = label_of(earlier[1], before=2, fraud=True)
    customers, shops = CUSTOMER.new_state(), SHOP.new_state()

    both_stages(batch_of(earlier), [], customers, shops)
    X = both_stages(batch_of(later), [shifted(label, -2)], customers, shops)

    assert X[1, column("seconds_since_fraud")] == 28
    everything = oracle_rows(SPEC, batch_of([*earlier, *later]), [label])
    np.testing.assert_array_equal(everything.X[2:], X)


def payment(identity: str, after_ms: int) -> Row:
    return (identity, START_MS + after_ms, "a", 100, None, "x")


def label_of(row: Row, *, before: int, fraud: bool) -> Label:
    return Label(row[0], row[1], row[5] or "", fraud, row[1], before)


def column(name: str) -> int:
    return SPEC.feature_names.index(name)
