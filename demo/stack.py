"""What runs during the demo, all of it as children on this machine."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from demo import child
from demo.brokers import Broker, Choice, open_broker, partitions_for
from demo.kafka_jars import say, tail
from demo.programs import DemoError, command, environment, run, running
from demo.reader import DEAD_LETTERS, LABELS, SCORES, TRANSACTIONS, Reader
from demo.tally import Tally
from demo.traffic import Part
from demo.workers import WorkerProcess, worker

#: Shares of the live traffic: spoilt, and sent a second time.
_BROKEN, _REPEATED = 0.01, 0.002

#: How long the broker may take for an answer, seconds.
_ASK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What can be chosen.

    Attributes
    ----------
    models
        Directory of the bundles.
    seed
        Of the simulation; the shipped model has learnt from another.
    """

    seconds: float
    rate: float
    workers: int
    broker: Choice
    models: Path
    seed: int


class Stack:
    """A broker with its topics, and what is started beside it.

    Everything is entered into `closing`, and is gone when that closes.

    Attributes
    ----------
    partitions
        Of each topic.
    topics
        Names of all of them, once they are created.
    """

    def __init__(self, options: Options, directory: Path, closing: ExitStack):
        self._options = options
        self._directory = directory
        self._closing = closing
        self._kafka = directory / "kafka"
        broker = open_broker(options.broker, self._kafka)
        self.broker: Broker = closing.enter_context(broker)
        self.partitions = partitions_for(self.broker, options.workers)
        self.topics: tuple[str, ...] = ()
        self._settings = {
            "FRAUD_BOOTSTRAP_SERVERS": self.broker.servers,
            "FRAUD_MODELS_DIR": str(options.models),
            **self.broker.worker,
        }

    def check(self) -> None:
        """Raises DemoError if the broker has ended."""
        if not self.broker.is_running():
            log = self._kafka / "broker.log"
            raise DemoError(f"the broker has ended; {tail(log)}")

    def create_topics(self) -> None:
        """Create the topics that the worker's own command names.

        Raises
        ------
        DemoError
            It cannot, for instance because there is no bundle.
        """
        self.topics = tuple(named_topics(self._run("topics", "--print")))
        if self.broker.create_topics is not None:
            self.broker.create_topics(self.topics)
            return
        numbers = [f"--partitions={self.partitions}", "--replication-factor=1"]
        self._run("topics", *numbers)

    @property
    def assigned(self) -> int:
        """Partitions that the workers have in their care, of all that they read."""
        consumed = set(self.topics) - {SCORES, DEAD_LETTERS}
        return self.partitions * len(consumed)

    def start_workers(self) -> list[WorkerProcess]:
        """Start workers; whether they live is seen later."""
        return [
            self._closing.enter_context(
                worker(f"worker-{number}", self._directory, self._settings)
            )
            for number in range(1, self._options.workers + 1)
        ]

    def open_reader(self, tally: Tally) -> Reader:
        """Read all topics from their beginning."""
        client = {"bootstrap.servers": self.broker.servers, **self.broker.consumer}
        reader = Reader(
            tally,
            partitions=self.partitions,
            has_labels=LABELS in self.topics,
            properties=client,
        )
        return self._closing.enter_context(reader)

    def send_all(self, part: Part) -> None:
        """Send payments and labels as fast as the broker takes them.

        Raises
        ------
        DemoError
            Some could not be sent.
        """
        run(self._player(part), log=self._log("history"))

    def send_live(self, part: Part) -> AbstractContextManager[child.Child]:
        """Send payments and labels as the options say, within the context."""
        options = self._options
        argv = [
            *self._player(part),
            f"--rate={options.rate}",
            f"--seconds={options.seconds}",
            f"--broken={_BROKEN}",
            f"--repeated={_REPEATED}",
            f"--seed={options.seed}",
        ]
        return running(argv, log=self.live_log)

    def records_in_log(self) -> int:
        """Ask the broker how many records there are to be answered."""
        # A consumer that is polled meanwhile by the reader's thread never answers.
        admin = AdminClient({"bootstrap.servers": self.broker.servers, "log_level": 0})
        places = (TopicPartition(TRANSACTIONS, p) for p in range(self.partitions))
        asked = {place: OffsetSpec.latest() for place in places}
        ends = admin.list_offsets(asked, request_timeout=_ASK_SECONDS)
        return sum(end.result().offset for end in ends.values())

    @property
    def live_log(self) -> Path:
        """Where the sender of live traffic writes."""
        return self._log("live")

    def verify(self) -> int:
        """Let the worker's own audit speak; return its exit code.

        How far it is, goes to a log, of which the end is shown if it fails.
        """
        allowed = [] if self.broker.is_real else ["--allow-duplicates"]
        sys.stdout.flush()
        argv, log = command("fraud-worker", "verify", *allowed), self._log("verify")
        with log.open("ab") as progress:
            env = environment(self._settings)
            process = child.spawn(argv, errors=progress, env=env)
        try:
            code = process.wait()
        finally:
            child.stop(process)
        if code:
            say(tail(log))
        return code

    def _player(self, part: Part) -> list[str]:
        argv = [
            *(sys.executable, "-m", "demo.live"),
            *("--bootstrap-servers", self.broker.servers),
            *("--topic", TRANSACTIONS, "--payments", str(part.payments)),
        ]
        if LABELS in self.topics:
            argv += ["--labels-topic", LABELS, "--labels", str(part.labels)]
        return argv

    def _run(self, *arguments: str) -> str:
        argv = command("fraud-worker", *arguments)
        return run(argv, log=self._log(arguments[0]), env=environment(self._settings))

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def named_topics(printed: str) -> Iterator[str]:
    """Yield the names in what `fraud-worker topics --print` writes.

    >>> list(named_topics("kafka-topics.sh --create --topic scores --partitions 4"))
    ['scores']
    """
    for line in printed.splitlines():
        words = shlex.split(line)
        if "--topic" in words:
            yield words[words.index("--topic") + 1]
