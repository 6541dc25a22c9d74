"""A fresh broker, workers on cores of their own, and what the system says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from demo.broker import KafkaBroker
from demo.programs import command, environment
from demo.workers import WorkerProcess, worker
from tests.benchmarks.arrivals import ScoresReader
from tests.benchmarks.cores import confine, cpu_seconds, pin
from tests.benchmarks.workload import ROOT, Workload
from worker.pipeline import TopicNames

PARTITIONS = 4

#: The JVM of Kafka's own start script; that of the tests starts sooner and runs slower.
_JVM = (
    "-Xmx1g",
    "-XX:TieredStopAtLevel=4",
    "-XX:-UseSerialGC",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
)

_TRANSACTIONS, _LABELS = "transactions", "labels"


class Stack:
    """A fresh broker with payments to come, and the groups that score them.

    Attributes
    ----------
    sender_late_ms
        How late the last sender was, in 99 of 100 steps.
    """

    def __init__(
        self,
        workload: Workload,
        directory: Path,
        closing: ExitStack,
        partitions: int = PARTITIONS,
    ):
        self.workload = workload
        self.partitions = partitions
        self.sender_late_ms = 0.0
        self._closing = closing
        self._directory = directory
        self._streams = 0
        inputs = dict.fromkeys((_TRANSACTIONS, _LABELS), partitions)
        self._broker = closing.enter_context(
            KafkaBroker(directory / "kafka", topics=inputs, jvm=_JVM)
        )
        confine(self._broker.pid)

    @property
    def servers(self) -> str:
        """The address of the broker."""
        return self._broker.bootstrap_servers

    def broker_cpu_seconds(self) -> float:
        """Processor time that the broker has used."""
        return cpu_seconds(self._broker.pid)

    def stream(self, **settings: str) -> StackStream:
        """Return a group that scores the payments into topics of its own."""
        self._streams += 1
        made = StackStream(self, self._closing, self._directory, self._streams)
        made.settings |= settings
        self._broker.create_topics(dict.fromkeys(made.own_topics, self.partitions))
        return made

    def send(self, first: int, last: int, *, at_once: bool = False) -> None:
        """Send records as fast as the broker takes them, or all in one instant."""
        with self.sending(first, last, rate=0, start=0.0, at_once=at_once):
            pass

    @contextmanager
    def sending(
        self, first: int, last: int, *, rate: int, start: float, at_once: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Send at scheduled times meanwhile, to the end unless it is terminated."""
        messages, inputs = str(self.workload.messages), f"{_TRANSACTIONS},{_LABELS}"
        program = [sys.executable, "-m", "tests.benchmarks.load", self.servers]
        arguments = [messages, str(first), str(last), str(rate), str(start), inputs]
        argv = [*program, *arguments, *(["at-once"] if at_once else [])]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                yield process
                printed, _ = process.communicate()
            except BaseException:
                process.kill()
                raise
            if process.returncode > 0:
                raise RuntimeError("the payments could not be sent")
            if process.returncode == 0:
                self.sender_late_ms = json.loads(printed)["late_milliseconds_p99"]


class StackStream:
    """A group of workers, its topics, and its reader.

    Attributes
    ----------
    settings
        Of its workers.
    """

    def __init__(self, stack: Stack, closing: ExitStack, directory: Path, number: int):
        self._stack = stack
        self._closing = closing
        self._directory = directory / f"stream-{number}"
        self._directory.mkdir()
        names = TopicNames(
            _TRANSACTIONS, _LABELS, f"scores-{number}", f"dead-letters-{number}"
        )
        group = f"bench-{number}"
        self.topology = stack.workload.topology(group, names)
        self.settings = {
            "FRAUD_BOOTSTRAP_SERVERS": stack.servers,
            "FRAUD_MODELS_DIR": str(stack.workload.models),
            "FRAUD_GROUP": group,
            "FRAUD_TRANSACTIONS_TOPIC": names.transactions,
            "FRAUD_LABELS_TOPIC": names.labels,
            "FRAUD_SCORES_TOPIC": names.scores,
            "FRAUD_DEAD_LETTERS_TOPIC": names.dead_letters,
        }

    @property
    def own_topics(self) -> tuple[str, ...]:
        """The topics that are not the input of all groups."""
        return tuple(
            name for name in self.topology.every if name not in {_TRANSACTIONS, _LABELS}
        )

    @property
    def partitions(self) -> int:
        """Of all topics that a worker reads together."""
        return self._stack.partitions * len(self.topology.consumed)

    def start_worker(
        self, slot: int = 0, *, argv: Sequence[str] | None = None
    ) -> WorkerProcess:
        """Start a worker on a core of its own; return when it has started."""
        process = self.spawn_worker(slot, argv=argv)
        process.await_start(lambda: None)
        return process

    def spawn_worker(
        self, slot: int = 0, *, argv: Sequence[str] | None = None, **settings: str
    ) -> WorkerProcess:
        """Start a worker on the core of that slot; everything else stays off it.

        Parameters
        ----------
        argv
            The program, where it is not the worker's own.
        """
        own = {**self.settings, **settings}
        process = self._closing.enter_context(
            worker(_name(slot), self._directory, own, argv=argv)
        )
        pin(process.pid, slot)
        return process

    def logged(self, event: str, slot: int = 0) -> list[dict[str, Any]]:
        """Return what all workers of that slot so far have logged of an event."""
        log = self._directory / f"{_name(slot)}.log"
        lines = log.read_bytes().split(b"\n")[:-1]
        found = [orjson.loads(line) for line in lines if line.startswith(b"{")]
        return [facts for facts in found if facts.get("event") == event]

    @property
    def metrics_port(self) -> int:
        """Where the worker of slot 0 that was started last serves its metrics."""
        return int(self.logged("started")[-1]["metrics_port"])

    def reader(self) -> ScoresReader:
        """Return a reader of this group's scores."""
        topic = self.topology.scores
        reader = ScoresReader(self._stack.servers, topic, self._stack.partitions)
        self._closing.callback(reader.close)
        return reader

    def verify(self) -> None:
        """Audit the stream by the worker's own command; raises if it is not right."""
        subprocess.run(
            command("fraud-worker", "verify"),
            env=environment(self.settings),
            check=True,
            stdout=sys.stderr,
        )


@contextmanager
def fresh_stack(
    workload: Workload, directory: Path, partitions: int = PARTITIONS
) -> Iterator[Stack]:
    """Run a broker with empty topics; all that was started is gone at the end."""
    directory.mkdir()
    with ExitStack() as closing:
        yield Stack(workload, directory, closing, partitions)


def _name(slot: int) -> str:
    """Name a worker: its slot in the group, and that of its log."""
    return f"worker-{slot}"
