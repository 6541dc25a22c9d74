"""Faults of whole batches: one that inflates beyond measure, one that cannot be read.

base offset 8 | length 4 | epoch 4 | magic 1 | checksum 4 | attributes 2 | ... 61
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import confluent_kafka

from tests.faults.fault import Fault
from tests.faults.scene import RATE, Scene
from tests.faults.watch import PATIENCE_SECONDS, now_ms
from tests.live import LiveWorker
from tests.waiting import wait_until
from worker.errors import ExitCode

#: Zeros that weigh a thousandth of that on their way.
_BOMB_BYTES = 64_000_000

#: What reading one may take beyond it: the client's copy, Python's, and the inflater's.
_COPIES = 4

_HEAD_BYTES = 61
_GZIP = 1


def bombs(scene: Scene, rounds: int) -> None:
    """Compressed, each is small enough for the broker; inflated, it is no payment."""
    worker = scene.start()
    with scene.traffic.flowing(RATE):
        scene.await_scores()
        before = _peak_bytes(worker)
        producer = _gzip_producer(scene, **{"message.max.bytes": 2 * _BOMB_BYTES})
        for number in range(rounds):
            thrown_ms = now_ms()
            producer.produce(
                scene.stream.transactions, bytes(_BOMB_BYTES), str(number).encode(), 0
            )
            assert producer.flush(60) == 0
            _await_pointers(scene, number + 1)
            scene.struck_at(thrown_ms)
        grown = _peak_bytes(worker) - before
    assert worker.process.poll() is None
    assert grown < _COPIES * _BOMB_BYTES, f"{grown / 1e6:.0f} MB more"
    scene.notes.append(
        f"{_BOMB_BYTES / 1e6:.0f} MB of zeros each, dead letters without them; the "
        f"worker's peak memory grew by {grown / 1e6:.0f} MB, however many came"
    )


def _await_pointers(scene: Scene, count: int) -> None:
    def are_there() -> bool:
        sizes = [
            letter["dlq.payload.size"]
            for letter in scene.stream.dead_letter_headers()
            if letter["dlq.payload.truncated"] == "true"
        ]
        return sizes == [str(_BOMB_BYTES)] * count

    wait_until(are_there, what=f"{count} pointers", seconds=PATIENCE_SECONDS)


def _peak_bytes(worker: LiveWorker) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(kilobytes)


def unreadable_batch(scene: Scene, rounds: int) -> None:
    """Damaged on the broker's disk: it stops with the place, until that is mended."""
    stream = scene.stream
    worker = scene.start()
    scene.traffic.write(1000)
    stream.await_answers(1000)
    assert worker.end() == ExitCode.OK
    producer = _gzip_producer(scene)
    for _ in range(100):
        producer.produce(stream.transactions, b'{"note":"none"}', b"key", 0)
    assert producer.flush(30) == 0
    scene.traffic.write(1000)
    batch = _newest_gzip_batch(stream.kafka.data_dir, f"{stream.transactions}-0")
    batch.damage()
    stopped_at = scene.committed()
    for turn in range(rounds):
        worker = scene.start()
        assert worker.wait(60) == ExitCode.STATE, worker.log.read_text()[-1000:]
        said = worker.events("stopped")[-1]["because"]
        assert f"at {stream.transactions}/0 offset {batch.offset}" in said, said
        scene.struck += 1
        if turn:
            assert scene.committed() == stopped_at, "it went on beyond the damage"
        stopped_at = scene.committed()
    batch.mend()
    mended_ms = now_ms()
    scene.traffic.write(200)
    scene.start()
    scene.seconds += scene.watch.await_after(mended_ms)
    scene.notes.append(f"exit {int(ExitCode.STATE)} names the offset each time")


class _Batch:
    """A batch in a segment of the log, and what is done to it."""

    def __init__(self, segment: Path, position: int, data: bytes):
        self.offset = struct.unpack_from(">q", data)[0]
        self._segment, self._position, self._data = segment, position, data

    def damage(self) -> None:
        """Spoil what is compressed, and leave the header as it is."""
        head, body = self._data[:_HEAD_BYTES], self._data[_HEAD_BYTES:]
        self._write(head + bytes(byte ^ 0xFF for byte in body))

    def mend(self) -> None:
        """Restore what was there."""
        self._write(self._data)

    def _write(self, data: bytes) -> None:
        with self._segment.open("r+b") as file:
            file.seek(self._position)
            file.write(data)


def _newest_gzip_batch(data_dir: Path, partition: str) -> _Batch:
    (segment,) = data_dir.rglob(f"{partition}/*.log")
    data, position, found = segment.read_bytes(), 0, None
    while position + _HEAD_BYTES <= len(data):
        (length,) = struct.unpack_from(">i", data, position + 8)
        if length <= 0:
            break
        end = position + 12 + length
        (attributes,) = struct.unpack_from(">h", data, position + 21)
        if attributes & 7 == _GZIP:
            found = _Batch(segment, position, data[position:end])
        position = end
    assert found is not None, "no compressed batch was written"
    return found


def _gzip_producer(scene: Scene, **settings: int) -> confluent_kafka.Producer:
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": scene.stream.kafka.bootstrap_servers,
            "compression.type": "gzip",
            "linger.ms": 50,
            **settings,
        }
    )


FAULTS = (
    Fault(
        name="bomb",
        title="64 MB in a compressed batch of 64 kB",
        play=bombs,
        rounds=3,
        quick_rounds=2,
    ),
    Fault(
        name="unreadable",
        title="a batch damaged on the broker's disk",
        play=unreadable_batch,
        rounds=2,
    ),
)
