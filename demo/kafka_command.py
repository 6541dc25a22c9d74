"""How the development broker is configured: its properties, its JVM, its command.

Small and quick to start. It keeps what a real broker promises (exactly-once, groups,
every codec) and gives up what only a cluster has.
"""

from __future__ import annotations

import random
import secrets
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO

from demo.kafka_jars import BrokerError, KafkaJars, tail

#: Loopback only: nobody else on the network is asked in.
HOST = "127.0.0.1"

#: Below what the kernel hands out, so that nobody takes our port during a restart.
_PORTS = range(20_000, 32_000)

#: The compiler that starts first, the collector with the fewest threads, little heap.
_JVM = (
    "-Xmx256m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Dlog4j2.statusLoggerLevel=OFF",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

_SETTINGS = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        # One node: everything has one copy.
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.replication.factor": "1",
        # Few internal partitions are quick to create, and to load after a restart.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        # A misspelt topic is an error; a record of 2018 is not retention's prey.
        "auto.create.topics.enable": "false",
        "log.retention.ms": "-1",
        # The first member of a group does not wait for others.
        "group.initial.rebalance.delay.ms": "0",
        # After a kill the old registration must expire: 4 s to be back, not 10.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        # By default the cleaner's buffer is half of this heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
    }
)


def write_properties(
    data_dir: Path, *, port: int, controller_port: int, settings: Mapping[str, str]
) -> Path:
    """Write server.properties, `settings` winning over ours, and return its path."""
    clients, controller = f"{HOST}:{port}", f"{HOST}:{controller_port}"
    properties = {
        **_SETTINGS,
        "listeners": f"PLAINTEXT://{clients},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{clients}",
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(data_dir / "data"),
        **settings,
    }
    path = data_dir / "server.properties"
    path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    return path


def format_storage(jars: KafkaJars, properties: Path, *, log: IO[bytes]) -> None:
    """Make the data directory a broker's, unless it is one already.

    Raises
    ------
    BrokerError
        Kafka refuses the directory or the properties.
    """
    if (properties.parent / "data" / "meta.properties").exists():
        return
    # The tool takes an id that begins with a dash for an option.
    cluster_id = f"A{secrets.token_urlsafe(16)[1:]}"
    options = ["format", "-t", cluster_id, "-c", str(properties)]
    argv = [*_java(jars, ()), "kafka.tools.StorageTool", *options]
    if subprocess.run(argv, check=False, stdout=log, stderr=log).returncode != 0:
        message = f"Kafka could not format {properties.parent}; "
        raise BrokerError(message + tail(Path(log.name)))


def server_command(
    jars: KafkaJars, properties: Path, *, jvm: Sequence[str] = ()
) -> list[str]:
    """Return the command of the broker; options in `jvm` win over ours."""
    return [*_java(jars, jvm), "kafka.Kafka", str(properties)]


def _java(jars: KafkaJars, jvm: Sequence[str]) -> list[str]:
    archive = [f"-XX:SharedArchiveFile={jars.archive}"] if jars.archive.exists() else []
    return [jars.java, *archive, *_JVM, *jvm, "-cp", jars.class_path]


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    while not is_free(port := random.choice(_PORTS)):
        pass
    return port


def is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
