"""Real `fraud-worker run` processes on the development broker, under real traffic."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import Message
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from demo import child
from demo.broker import KafkaBroker
from tests.commanding import run_command
from tests.marks import leaks_in, marked_payment
from tests.reading_back import read_back
from tests.waiting import wait_until
from worker.commands import verify
from worker.config import Settings
from worker.errors import ExitCode
from worker.kafka.admin import Cluster
from worker.kafka.config import ClientSettings

#: A worker that has to import, load and join on a busy machine.
START_SECONDS = 120.0

_RUN = "import sys; from worker.cli import main; sys.exit(main())"

#: Where a worker tells its figures, and how it is.
METRICS = ["/metrics", "/metrics/reference"]
PROBES = ["/livez", "/readyz", "/startupz"]


class LiveWorker:
    """A worker's process; its log is read as it comes."""

    def __init__(self, env: Mapping[str, str], log: Path, command: str = "run"):
        self.log = log
        self._output = log.open("ab")
        self.process = child.spawn(
            [sys.executable, "-c", _RUN, command], errors=self._output, env=env
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of that name, of this process and earlier ones."""
        lines = (line for line in self.log.read_text().splitlines() if line[:1] == "{")
        parsed = (json.loads(line) for line in lines)
        return [line for line in parsed if line["event"] == name]

    def await_event(self, name: str, count: int = 1) -> None:
        """Wait until the log holds so many lines of that name."""

        def there() -> bool:
            assert self.process.poll() is None or len(self.events(name)) >= count, (
                self.log.read_text()[-3000:]
            )
            return len(self.events(name)) >= count

        wait_until(there, what=f"{name} in {self.log}", seconds=START_SECONDS)

    def served(self) -> dict[str, str]:
        """Return what its metrics and probes say, by path; nothing once it has ended.

        What answers for an earlier process of its name is none of its own.
        """
        if self.process.poll() is not None:
            return {}
        (*_, last) = self.events("started") or [{}]
        paths = {"metrics_port": METRICS, "health_port": PROBES}
        return {
            path: text
            for port, its_paths in paths.items()
            for path in its_paths
            if port in last and (text := _get(last[port], path))
        }

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask for an end; return the exit code."""
        self.send(number)
        return self.wait()

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Return the exit code once it has ended."""
        return self.process.wait(seconds)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.kill()
        self._output.close()


@dataclass
class Stream:
    """The topics of one test, its group, and everything that runs on them."""

    kafka: KafkaBroker
    group: str
    models: Path
    directory: Path
    partitions: int = 4
    settings: dict[str, str] = field(default_factory=dict)
    workers: list[LiveWorker] = field(default_factory=list)

    @property
    def transactions(self) -> str:
        return f"{self.group}-transactions"

    @property
    def scores(self) -> str:
        return f"{self.group}-scores"

    @property
    def dead_letters(self) -> str:
        return f"{self.group}-dead-letters"

    @property
    def clients(self) -> ClientSettings:
        return ClientSettings(self.kafka.bootstrap_servers, self.group, "test")

    def create_topics(self) -> None:
        names = (self.transactions, self.scores, self.dead_letters)
        self.kafka.create_topics(dict.fromkeys(names, self.partitions))

    def start(
        self, instance: str = "0", *, command: str = "run", **settings: str
    ) -> LiveWorker:
        """Start a worker, or another service; it is not waited for."""
        log = self.directory / f"worker-{instance}.log"
        worker = LiveWorker(self.env(instance, **settings), log, command)
        self.workers.append(worker)
        return worker

    def env(self, instance: str = "0", **settings: str) -> dict[str, str]:
        """Return the environment of a worker, or of another command."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith("FRAUD_")}
        own = {
            "FRAUD_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "FRAUD_GROUP": self.group,
            "FRAUD_INSTANCE": instance,
            "FRAUD_TRANSACTIONS_TOPIC": self.transactions,
            "FRAUD_SCORES_TOPIC": self.scores,
            "FRAUD_DEAD_LETTERS_TOPIC": self.dead_letters,
            "FRAUD_MODELS_DIR": str(self.models),
            "FRAUD_STATE_DIR": str(self.directory / "state"),
            "FRAUD_METRICS_PORT": "0",
            "FRAUD_HEALTH_PORT": "0",
            "FRAUD_LOG_FORMAT": "json",
        }
        return {**kept, **own, **self.settings, **settings}

    def verify(self, *arguments: str) -> str:
        """Audit the stream; return what `fraud-worker verify` said, which is good."""
        code, said = self.audit(*arguments)
        assert code == ExitCode.OK, said
        return said

    def audit(self, *arguments: str) -> tuple[int, str]:
        """Run `fraud-worker verify`; return its exit code, and what it said.

        In this process: starting another takes longer than most audits.
        """
        settings, said = Settings.from_env(self.env()), io.StringIO()
        with redirect_stdout(said), threadpool_limits(1):
            code = run_command(verify, settings, *arguments)
        return code, said.getvalue()

    def answers(self) -> Counter[tuple[int, int]]:
        """Return how often each input record was answered, by partition and offset.

        Fails where the answers of one kind on a partition are out of order.
        """
        answered: Counter[tuple[int, int]] = Counter()
        for topic in (self.scores, self.dead_letters):
            origins: dict[int, list[int]] = defaultdict(list)
            for message in read_back(self.clients, topic):
                partition, offset = _origin(message)
                assert partition == message.partition()
                origins[partition].append(offset)
            for partition, offsets in origins.items():
                assert self._may_repeat or offsets == sorted(set(offsets))
                answered.update((partition, offset) for offset in offsets)
        return answered

    def inputs(self) -> set[tuple[int, int]]:
        """Return the input records, by partition and offset."""
        messages = read_back(self.clients, self.transactions)
        return {_place(message) for message in messages}

    def await_answers(self, count: int, seconds: float = START_SECONDS) -> None:
        """Wait until that many offsets of the input have been committed."""
        with Cluster(self.clients) as cluster:
            places = cluster.partitions(self.transactions)

            def done() -> bool:
                offsets = cluster.committed(places).values()
                return sum(o.offset for o in offsets if o is not None) >= count

            wait_until(done, what=f"{count} answers", seconds=seconds)

    def has_open_commit(self) -> bool:
        """Whether something stands on the outputs that no reader may see yet."""
        with Cluster(self.clients) as cluster:
            places = [
                place
                for topic in (self.scores, self.dead_letters)
                for place in cluster.partitions(topic)
            ]
            bounds, ends = cluster.bounds(places), cluster.open_ends(places)
            return any(ends[place] > bounds[place].end for place in places)

    def has_left_open(self) -> bool:
        """Whether such a commit stays, once whoever began it stands still.

        Others have commits open, too, and what was about to end may still do so; these
        close while one looks again and again.
        """
        return all(self.has_open_commit() for _ in range(5))

    def dead_letter_headers(self) -> Iterator[dict[str, str]]:
        """Yield the headers of each dead letter."""
        for message in read_back(self.clients, self.dead_letters):
            yield {name: value.decode() for name, value in _headers(message).items()}

    def told(self) -> dict[str, list[str]]:
        """Return the lines of all that is read by people who handle no payments."""
        logs = {worker.log for worker in self.workers}
        headers = [" ".join(letter.values()) for letter in self.dead_letter_headers()]
        served = {
            f"{path} of {worker.log.stem}": text.splitlines()
            for worker in self.workers
            for path, text in worker.served().items()
        }
        return {
            **{log.name: log.read_text().splitlines() for log in logs},
            **served,
            "headers of the dead letters": headers,
        }

    def stop(self) -> None:
        """Leave nothing behind."""
        for worker in self.workers:
            worker.close()

    def close(self) -> None:
        """Leave nothing behind, and let nothing of a payment have been told."""
        try:
            leaks = leaks_in(self.told())
            assert not leaks, leaks[:10]
        finally:
            self.stop()

    @property
    def _may_repeat(self) -> bool:
        return self.settings.get("FRAUD_GUARANTEE") == "at-least-once"


def _place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def _headers(message: Message) -> dict[str, bytes]:
    return dict(message.headers() or [])  # type: ignore[arg-type]


def _origin(message: Message) -> tuple[int, int]:
    """Return which record an answer is for, by partition and offset."""
    named = _headers(message)
    if "origin" in named:
        _, partition, offset, _ = named["origin"].split(b"/")
    else:
        partition = named["dlq.origin.partition"]
        offset = named["dlq.origin.offset"]
    return int(partition), int(offset)


class Traffic:
    """Writes payments, one in a hundred broken, at a rate or as fast as it can."""

    def __init__(self, stream: Stream, seed: int = 1):
        self._topic = stream.transactions
        self._random = random.Random(seed)
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": stream.kafka.bootstrap_servers,
                "partitioner": "murmur2_random",
                "linger.ms": 2,
                # Tests that break the broker need not be told that it is broken.
                "log_level": 0,
            }
        )
        self._stop = threading.Event()
        self.count = 0

    def write(self, count: int) -> None:
        """Write that many payments now."""
        for _ in range(count):
            self._write_one()
        assert self._producer.flush(30) == 0

    @contextmanager
    def flowing(self, rate: int) -> Iterator[None]:
        """Write at that rate while the context lasts."""
        self._stop.clear()
        thread = threading.Thread(target=self._flow, args=(rate,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            assert self._producer.flush(30) == 0

    def _flow(self, rate: int) -> None:
        began, written = time.monotonic(), 0
        while not self._stop.wait(0.002):
            due = int((time.monotonic() - began) * rate)
            for _ in range(due - written):
                self._write_one()
            written = max(written, due)
            self._producer.poll(0)

    def _write_one(self) -> None:
        self.count += 1
        fields = marked_payment(self._random, self.count, int(time.time() * 1000))
        value = json.dumps(fields).encode()
        if self._random.random() < 0.01:
            value = value[:-1]
        self._producer.produce(self._topic, value, fields["customer_id"])


def _get(port: int, path: str) -> str:
    """Return what is said there, whatever the status; nothing where nobody listens."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}{path}", timeout=10
        ) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            body = refusal.read()
    except OSError:
        return ""
    return body.decode()


def freeze_in_open_commit(stream: Stream, worker: LiveWorker) -> None:
    """Stop the worker, again and again, until it leaves a commit open."""

    def is_caught() -> bool:
        worker.send(signal.SIGSTOP)
        if stream.has_left_open():
            return True
        worker.send(signal.SIGCONT)
        return False

    wait_until(is_caught, what="an open commit", seconds=START_SECONDS)


def kill_in_open_commit(stream: Stream, worker: LiveWorker) -> None:
    """Kill the worker while a commit of its is open."""
    freeze_in_open_commit(stream, worker)
    worker.kill()
    assert stream.has_open_commit()


MakeStream = Callable[..., Stream]
