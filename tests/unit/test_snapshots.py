"""A snapshot is used where it is whole, of this log and state, and old enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.transform_builders import Row, batch_of, everything
from worker.features import FeatureState, FeatureTransform
from worker.loop import SnapshotPolicy, Snapshots
from worker.pipeline import PartitionState
from worker.records import TopicPartition
from worker.snapshots import (
    SnapshotIdentity,
    SnapshotStore,
    SnapshotWriter,
    SoundSnapshot,
)
from worker.snapshots.store import KEPT

SPEC = everything()
TRANSFORM = FeatureTransform(SPEC)
PLACE = TopicPartition("transactions", 3)
IDENTITY = SnapshotIdentity("transactions", "id-1", 3, SPEC.state_fingerprint, 0)
START_MS = 1_700_000_000_000
PATIENCE_SECONDS = 20.0


def rows_of(count: int, *, first: int = 0) -> list[Row]:
    """Events of a few customers, a tenth of a second apart."""
    return [
        (str(i), START_MS + 100 * i, f"c{i % 7}", 100 + i, i % 3, "x")
        for i in range(first, first + count)
    ]


def state_after(count: int) -> FeatureState:
    state = TRANSFORM.new_state()
    TRANSFORM.transform(batch_of(rows_of(count)), state)
    return state


def take(store: SnapshotStore, count: int) -> Path:
    """Write the snapshot of a log of so many events."""
    writer = SnapshotWriter(store)
    writer.take_now(
        PLACE, state_after(count), IDENTITY, count, timeout_seconds=PATIENCE_SECONDS
    )
    return store.path_of(PLACE, count)


def newest(store: SnapshotStore, *, committed: int) -> SoundSnapshot:
    """The one that a restart would take."""
    return next(store.usable(PLACE, IDENTITY, range(committed + 1)))


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path)


def test_a_restored_state_continues_as_if_nothing_had_happened(
    store: SnapshotStore,
) -> None:
    take(store, 50)
    expected = TRANSFORM.transform(batch_of(rows_of(100))).X[50:]

    with newest(store, committed=50) as snapshot:
        assert snapshot.header.watermark_ms is not None
        state = TRANSFORM.new_state()
        state.start_at(snapshot.header.watermark_ms)
        state.reserve(snapshot.key_count, snapshot.event_count)
        for state_slice in snapshot.slices(max_events=3):
            state.take_in(state_slice)
    rows = TRANSFORM.transform(batch_of(rows_of(50, first=50)), state)
    assert expected.tobytes() == rows.X.tobytes()


def test_the_newest_one_at_or_before_the_commit_is_used(store: SnapshotStore) -> None:
    for count in (10, 20, 30):
        take(store, count)

    with newest(store, committed=25) as snapshot:
        assert snapshot.header.next_offset == 20


def _flip(data: bytes) -> bytes:
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


@pytest.mark.parametrize(
    "damage",
    [_flip, lambda data: data[:-1], lambda data: data[:200], lambda _: b""],
    ids=["a flipped bit", "a byte short", "mostly gone", "empty"],
)
def test_a_damaged_one_is_passed_over_for_an_older_one(
    store: SnapshotStore, damage: Callable[[bytes], bytes]
) -> None:
    take(store, 10)
    path = take(store, 20)
    path.write_bytes(damage(path.read_bytes()))

    with newest(store, committed=20) as snapshot:
        assert snapshot.header.next_offset == 10


@pytest.mark.parametrize(
    "change",
    [
        {"topic_id": "id-2"},
        {"state_fingerprint": "other"},
        {"fold_start": 5},
        {"partition": 4},
    ],
    ids=str,
)
def test_one_of_another_log_or_state_is_never_used(
    store: SnapshotStore, change: dict[str, object]
) -> None:
    take(store, 10)
    other = msgspec.structs.replace(IDENTITY, **change)

    assert list(store.usable(PLACE, other, range(11))) == []


def test_one_beyond_the_commit_is_never_used(store: SnapshotStore) -> None:
    take(store, 10)

    assert list(store.usable(PLACE, IDENTITY, range(10))) == []


def test_without_any_there_is_none(store: SnapshotStore) -> None:
    assert list(store.usable(PLACE, IDENTITY, range(10))) == []


def test_old_ones_are_removed(store: SnapshotStore) -> None:
    for count in range(1, KEPT + 4):
        take(store, count)

    kept = sorted(path.name for path in store.path_of(PLACE, 0).parent.iterdir())

    assert kept == [f"{n:020d}.snapshot" for n in range(4, KEPT + 4)]


def test_an_abandoned_one_leaves_nothing_behind(store: SnapshotStore) -> None:
    writer = SnapshotWriter(store)
    writer.begin(PLACE, state_after(10), IDENTITY, 10)
    writer.abandon(PLACE)
    writer.wait(PATIENCE_SECONDS)

    assert not writer.is_busy
    assert not list(store.path_of(PLACE, 0).parent.iterdir())


def test_a_disk_that_refuses_costs_a_snapshot_and_nothing_else(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    writer = SnapshotWriter(SnapshotStore(blocked))
    writer.begin(PLACE, state_after(10), IDENTITY, 10)
    deadline = time.monotonic() + PATIENCE_SECONDS

    while (writer.is_busy or writer.place) and time.monotonic() < deadline:
        writer.step(10)

    assert writer.failures == 1
    assert writer.place is None


def test_a_crash_replays_what_came_since_the_newest_one(store: SnapshotStore) -> None:
    policy = SnapshotPolicy(store, {"transactions": "id-1"}, SPEC.state_fingerprint, 60)
    snapshots = Snapshots(policy)
    partition = PartitionState(PLACE, 1, state_after(50), next_offset=50, fold_start=8)
    before = snapshots.replayed_by_a_crash(partition)
    snapshots.take_all({PLACE: partition}, ())
    right_after = snapshots.replayed_by_a_crash(partition)
    partition.next_offset = 57
    later = snapshots.replayed_by_a_crash(partition)
    partition.folded_until = 50
    restored = Snapshots(policy).replayed_by_a_crash(partition)

    assert [before, right_after, later, restored] == [42, 0, 7, 7]
