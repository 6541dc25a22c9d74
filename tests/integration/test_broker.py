"""The development broker: start, kill, pause, restart, and who outlives whom."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from demo.broker import BrokerError, KafkaBroker, main
from tests.conftest import ROOT, FreshTopic
from tests.waiting import is_alive, wait_until

pytestmark = pytest.mark.usefixtures("needs_kafka")

COMMAND = [sys.executable, "-m", "demo.broker"]


def test_a_commit_on_a_fresh_broker_is_read_by_a_group(
    kafka: KafkaBroker, fresh_topic: FreshTopic, fresh_name: Callable[[str], str]
) -> None:
    topic = fresh_topic("commits", partitions=1)
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "transactional.id": fresh_name("producer"),
        }
    )
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(topic, b"one")
    producer.commit_transaction(10)

    assert _read(kafka, topic, 1, group=fresh_name("group")) == [b"one"]


@pytest.mark.parametrize("codec", ["none", "gzip", "lz4", "snappy", "zstd"])
def test_every_codec_is_understood(
    kafka: KafkaBroker, fresh_topic: FreshTopic, codec: str
) -> None:
    """The topic's codec differs from the producer's, so the broker converts."""
    config = {"compression.type": "zstd" if codec == "lz4" else "lz4"}
    topic = fresh_topic("codecs", partitions=1, config=config)
    sent = [bytes([65 + i]) * 1000 for i in range(20)]

    _produce(kafka, topic, sent, compression=codec)

    assert _read(kafka, topic, len(sent)) == sent


def test_an_unknown_topic_is_not_created(kafka: KafkaBroker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

    topic = admin.list_topics("misspelt", timeout=10).topics["misspelt"]

    assert topic.error is not None
    assert topic.error.name() == "UNKNOWN_TOPIC_OR_PART"


def test_a_topic_that_exists_is_not_created_again(
    kafka: KafkaBroker, fresh_topic: FreshTopic
) -> None:
    topic = fresh_topic("twice")

    with pytest.raises(BrokerError, match=f"topic '{topic}'.*already exists"):
        kafka.create_topics({topic: 1})


def test_a_killed_broker_comes_back_with_its_data_and_its_address(
    tmp_path: Path,
) -> None:
    with KafkaBroker(tmp_path, topics={"kept": 1}) as broker:
        address, first = broker.bootstrap_servers, broker.pid
        _produce(broker, "kept", [b"before"])

        broker.kill()
        broker.start()
        _produce(broker, "kept", [b"after"])

        assert broker.bootstrap_servers == address
        assert broker.pid != first
        assert _read(broker, "kept", 2) == [b"before", b"after"]


def test_a_stopped_broker_comes_back_with_its_data(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path, topics={"kept": 1}) as broker:
        _produce(broker, "kept", [b"before"])

        broker.restart()

        assert _read(broker, "kept", 1) == [b"before"]


def test_a_paused_broker_answers_when_it_is_resumed(tmp_path: Path) -> None:
    with KafkaBroker(tmp_path) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        broker.pause()
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=0.5)
        broker.resume()

        assert admin.list_topics(timeout=10).brokers
        broker.pause()

    assert not broker.is_running


def test_a_stopped_broker_has_no_process(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path)
    broker.start()
    pid = broker.pid

    broker.stop()

    assert not is_alive(pid)
    assert not broker.is_running
    with pytest.raises(BrokerError, match="not running"):
        broker.pause()


def test_a_broker_is_gone_after_its_parent_was_killed(tmp_path: Path) -> None:
    program = f"""
import signal
from pathlib import Path
from demo.broker import KafkaBroker
broker = KafkaBroker(Path({str(tmp_path)!r}))
broker.start()
print(broker.pid, flush=True)
signal.pause()
"""
    parent = _run([sys.executable, "-c", program])
    pid = int(_first_line(parent))
    assert is_alive(pid)

    parent.kill()
    parent.communicate()

    wait_until(lambda: not is_alive(pid), what="the broker is gone")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_its_broker(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = _run([*COMMAND, "--data-dir", str(tmp_path), "--topic", "seen:2"])
    address = _first_line(command)
    topics = AdminClient({"bootstrap.servers": address}).list_topics(timeout=10).topics

    command.send_signal(number)
    command.communicate(timeout=30)

    assert len(topics["seen"].partitions) == 2
    assert command.returncode == 0
    host, port = address.split(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(BrokerError, match=f"port {port} on 127.0.0.1 is in use"):
            KafkaBroker(tmp_path, port=port).start()


def test_a_broker_that_ends_at_its_start_shows_its_log(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path, settings={"num.io.threads": "0"})

    with pytest.raises(BrokerError, match=r"(?s)broker\.log.*num\.io\.threads"):
        broker.start()

    assert not broker.is_running


def test_a_broker_that_is_not_ready_in_time_is_not_left_behind(tmp_path: Path) -> None:
    broker = KafkaBroker(tmp_path)

    with pytest.raises(BrokerError, match="not ready yet"):
        broker.start(timeout_seconds=0)

    assert not broker.is_running


def test_the_command_says_why_it_cannot_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])

        code = main(["--data-dir", str(tmp_path), "--port", port])

    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use" in capsys.readouterr().err


def _produce(
    broker: KafkaBroker, topic: str, values: list[bytes], *, compression: str = "none"
) -> None:
    producer = Producer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "compression.type": compression,
            "linger.ms": 50,
            "log_level": 0,
        }
    )
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(20) == 0


def _read(
    broker: KafkaBroker, topic: str, count: int, *, group: str = "reader"
) -> list[bytes | None]:
    """Read that many records of partition 0, as a read_committed reader does."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    values: list[bytes | None] = []
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        wait_until(
            lambda: _poll(consumer, values) >= count,
            what=f"{count} records of {topic}",
            seconds=20,
        )
    finally:
        consumer.close()
    return values


def _poll(consumer: Consumer, values: list[bytes | None]) -> int:
    for message in consumer.consume(100, 0.1):
        assert message.error() is None
        values.append(message.value())
    return len(values)


def _run(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
