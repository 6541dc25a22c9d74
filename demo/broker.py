"""Apache Kafka on this machine, for the demo and the tests: a child process.

    python -m demo.broker --data-dir D      prints its address, stays until signalled
    python -m demo.broker --prepare         fetches and warms up what a start needs

One node in KRaft mode on loopback ports. It never outlives the process that started
it, and finds its data and its ports again when it is restarted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from confluent_kafka import KafkaException

from demo import child
from demo.kafka_client import (
    DEFAULTS,
    LOOK_SECONDS,
    answers,
    create_topics,
    make_ready,
)
from demo.kafka_command import (
    HOST,
    format_storage,
    free_port,
    is_free,
    server_command,
    write_properties,
)
from demo.kafka_jars import (
    BrokerError,
    exclusively,
    kafka_available,
    kafka_jars,
    say,
    tail,
)

__all__ = ["BrokerError", "KafkaBroker", "kafka_available", "main", "prepare"]

_NO_TOPICS: Mapping[str, int] = MappingProxyType({})


class KafkaBroker:
    """A Kafka broker with its data, its ports and its process.

        stopped --start()--> running --stop(), kill()--> stopped
                             running --pause()--> paused --resume()--> running

    As a context it runs inside and is stopped afterwards.

    Parameters
    ----------
    data_dir
        Holds the log segments, `broker.log` and `server.properties`; made if missing.
    topics
        Name to number of partitions; the missing ones are created at every start.
    port
        Where clients connect; 0 chooses a free one.
    settings
        Broker properties that win over ours.
    jvm
        Java options that win over ours.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        topics: Mapping[str, int] = _NO_TOPICS,
        port: int = 0,
        settings: Mapping[str, str] = DEFAULTS,
        jvm: Sequence[str] = (),
    ):
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir / "broker.log"
        self._topics = dict(topics)
        self._port = port or free_port()
        self._controller_port = free_port()
        self._settings = dict(settings)
        self._jvm = tuple(jvm)
        self._process: child.Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients are given."""
        return f"{HOST}:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether there is a process; a paused broker runs too."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of the process.

        Raises
        ------
        BrokerError
            The broker is not running.
        """
        if self._process is None or not self.is_running:
            raise BrokerError("the broker is not running")
        return self._process.pid

    def start(self, *, timeout_seconds: float = 60.0) -> None:
        """Start the broker and return when groups and commits work.

        Raises
        ------
        BrokerError
            Java or the jars are missing, a port is in use, or the broker does not
            become ready in time; nothing is left running.
        """
        if self.is_running:
            return
        deadline = time.monotonic() + timeout_seconds
        try:
            self._launch()
            self._await_answer(deadline)
            seconds_left = max(0.0, deadline - time.monotonic())
            servers, topics = self.bootstrap_servers, self._topics
            make_ready(servers, topics=topics, timeout_seconds=seconds_left)
        except KafkaException as error:
            self.kill()
            raise BrokerError(f"the broker: {error}; {tail(self.log)}") from error
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the broker in good order: no recovery at the next start."""
        if self._process is not None:
            child.stop(self._process)
        self._process = None

    def kill(self) -> None:
        """End the broker as a crash would: with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, *, timeout_seconds: float = 60.0) -> None:
        """Stop, then start with the same data and ports."""
        self.stop()
        self.start(timeout_seconds=timeout_seconds)

    def pause(self) -> None:
        """Freeze the process: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        # The last of its threads may take a while to notice on a busy machine.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused broker go on."""
        os.kill(self.pid, signal.SIGCONT)

    def create_topics(
        self, topics: Mapping[str, int], *, config: Mapping[str, str] = DEFAULTS
    ) -> None:
        """Create topics as `demo.kafka_client.create_topics` does."""
        create_topics(self.bootstrap_servers, topics, config=config)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        """Start the process; whether it lives is seen later."""
        jars = kafka_jars()
        for port in (self._port, self._controller_port):
            if not is_free(port):
                raise BrokerError(f"port {port} on {HOST} is in use; choose another")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        properties = write_properties(
            self.data_dir,
            port=self._port,
            controller_port=self._controller_port,
            settings=self._settings,
        )
        with self.log.open("ab") as log:
            format_storage(jars, properties, log=log)
            command = server_command(jars, properties, jvm=self._jvm)
            self._process = child.spawn(command, output=log, errors=log)

    def _await_answer(self, deadline: float) -> None:
        while is_free(self._port) or not answers(self.bootstrap_servers):
            if not self.is_running:
                raise BrokerError(f"the broker ended at its start; {tail(self.log)}")
            if time.monotonic() > deadline:
                raise BrokerError(f"the broker is not ready yet; {tail(self.log)}")
            time.sleep(LOOK_SECONDS)


def prepare() -> None:
    """Fetch the jars, and let a JVM write down the classes that a broker loads.

    Later starts read that archive and take half the time.

    Raises
    ------
    BrokerError
        See `kafka_jars`.
    """
    jars = kafka_jars()
    with exclusively(jars.archive):
        if jars.archive.exists():
            return
        say("Warming up Apache Kafka, so that it starts in half the time (once) ...")
        with tempfile.TemporaryDirectory(dir=jars.archive.parent) as scratch:
            archive = Path(scratch, "classes.jsa")
            option = f"-XX:ArchiveClassesAtExit={archive}"
            with KafkaBroker(Path(scratch, "broker"), topics={"t": 1}, jvm=[option]):
                pass
            archive.rename(jars.archive)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a broker until a signal comes; 1 when it cannot start, or ends itself."""
    arguments = _parser().parse_args(argv)
    try:
        prepare()
        if not arguments.prepare:
            return _serve(arguments)
    except BrokerError as error:
        say(str(error))
        return 1
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    signalled = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: signalled.set())
    topics = dict(arguments.topic)
    data_dir, port = arguments.data_dir, arguments.port
    with KafkaBroker(data_dir, topics=topics, port=port) as broker:
        print(broker.bootstrap_servers, flush=True)
        while broker.is_running:
            if signalled.wait(0.2):
                return 0
        raise BrokerError(f"the broker ended by itself; {tail(broker.log)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.broker",
        description="Run Apache Kafka on this machine until a signal comes.",
        epilog="example: python -m demo.broker --data-dir /tmp/kafka --topic scores:4",
    )
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument(
        "--data-dir", type=Path, help="what the broker keeps, and its log"
    )
    task.add_argument("--prepare", action="store_true", help="only fetch and warm up")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument(
        "--topic",
        type=_topic,
        action="append",
        default=[],
        metavar="NAME:PARTITIONS",
        help="create it if it is missing; may be repeated",
    )
    return parser


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.partition(":")
    return name, int(partitions)


if __name__ == "__main__":
    sys.exit(main())
