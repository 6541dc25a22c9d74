"""What the scenes stand on: a model, directories, and brokers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from demo.broker import KafkaBroker
from demo.kafka_command import HOST, free_port
from tests.faults.fault import Fault
from tests.faults.proxy import Proxy
from tests.faults.scene import Scene
from tests.faults.watch import ScoreWatch
from tests.live import Stream
from tests.small_models import small_model

_numbers = itertools.count(1)


class Ground:
    """Makes scenes below a directory; use it as a context manager.

    Parameters
    ----------
    kafka
        The broker of all faults that do not hurt it; None starts one when needed.
    """

    def __init__(self, directory: Path, kafka: KafkaBroker | None = None):
        self._directory = directory
        self._models = directory / "models"
        self._kafka = kafka
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        self._models.mkdir(parents=True)
        small_model(self._models)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @contextmanager
    def scene(self, fault: Fault) -> Iterator[Scene]:
        """Build the scene of a fault; nothing of it runs afterwards."""
        name = f"{fault.name}-{next(_numbers)}"
        directory = self._directory / name
        directory.mkdir(parents=True)
        with ExitStack() as closing:
            kafka, proxy = self._broker(fault, directory, closing)
            stream = Stream(
                kafka,
                name,
                self._models,
                directory,
                partitions=fault.partitions,
                settings={"FRAUD_START": "earliest", **fault.settings},
            )
            stream.create_topics()
            watch = closing.enter_context(ScoreWatch(stream))
            closing.callback(stream.stop)
            yield Scene(stream, watch, proxy)

    def _broker(
        self, fault: Fault, directory: Path, closing: ExitStack
    ) -> tuple[KafkaBroker, Proxy | None]:
        if fault.is_proxied:
            return _proxied(directory, closing)
        if fault.has_own_broker:
            return closing.enter_context(KafkaBroker(directory / "kafka")), None
        if self._kafka is None:
            shared = KafkaBroker(self._directory / "kafka")
            self._kafka = self._closing.enter_context(shared)
        return self._kafka, None


def _proxied(directory: Path, closing: ExitStack) -> tuple[KafkaBroker, Proxy]:
    """Start a broker that sends whoever comes through the proxy back to the proxy."""
    port, behind, in_front, controller = (free_port() for _ in range(4))
    names = {"PLAINTEXT": port, "PROXIED": behind, "CONTROLLER": controller}
    listeners = ",".join(f"{n}://{HOST}:{p}" for n, p in names.items())
    settings = {
        "listeners": listeners,
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port},PROXIED://{HOST}:{in_front}",
        "listener.security.protocol.map": ",".join(f"{n}:PLAINTEXT" for n in names),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": f"1@{HOST}:{controller}",
    }
    broker = KafkaBroker(directory / "kafka", port=port, settings=settings)
    proxy = closing.enter_context(Proxy(in_front, behind))
    return closing.enter_context(broker), proxy
