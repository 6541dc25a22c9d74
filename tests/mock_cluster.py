"""librdkafka's mock cluster with its fault injection, which Python does not offer.

The functions are exported by the library inside of the client's package; they are
experimental there, hence the client is pinned.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka


class Api(IntEnum):
    """Kinds of requests, by Kafka's numbers."""

    PRODUCE = 0
    FETCH = 1
    OFFSET_COMMIT = 8
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


_pointer, _text, _int = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_size, _int16, _int32 = ctypes.c_size_t, ctypes.c_int16, ctypes.c_int32


def _library() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    (path,) = package.with_name("confluent_kafka.libs").glob("librdkafka-*.so*")
    library = ctypes.CDLL(str(path))
    for name, result, *arguments in (
        ("rd_kafka_conf_new", _pointer),
        ("rd_kafka_conf_set", _int, _pointer, _text, _text, _pointer, _size),
        ("rd_kafka_new", _pointer, _int, _pointer, _text, _size),
        ("rd_kafka_destroy", None, _pointer),
        ("rd_kafka_mock_cluster_new", _pointer, _pointer, _int),
        ("rd_kafka_mock_cluster_destroy", None, _pointer),
        ("rd_kafka_mock_cluster_bootstraps", _text, _pointer),
        ("rd_kafka_mock_topic_create", _int, _pointer, _text, _int, _int),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, _pointer, _int32),
        ("rd_kafka_mock_clear_request_errors", None, _pointer, _int16),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


class MockCluster:
    """One broker inside of this process; use it as a context manager."""

    def __init__(self) -> None:
        self._library = _library()
        error = ctypes.create_string_buffer(512)
        configuration = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(
            configuration, b"log_level", b"0", error, len(error)
        )
        self._client = self._library.rd_kafka_new(0, configuration, error, len(error))
        assert self._client, error.value
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        address = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        self.bootstrap_servers: str = address.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        created = self._library.rd_kafka_mock_topic_create(
            self._cluster, name.encode(), partitions, 1
        )
        assert created == 0

    def fail(self, api: Api, *codes: int) -> None:
        """Answer the next requests of that kind with these errors."""
        self._library.rd_kafka_mock_push_request_errors_array(
            _pointer(self._cluster),
            _int16(api),
            _size(len(codes)),
            (_int * len(codes))(*codes),
        )

    def delay(self, api: Api, milliseconds: int) -> None:
        """Let the answer to the next request of that kind take so long."""
        self._library.rd_kafka_mock_broker_push_request_error_rtts(
            _pointer(self._cluster),
            _int32(1),
            _int16(api),
            _size(1),
            _int(0),
            _int(milliseconds),
        )

    def forget_failures(self) -> None:
        """Answer well again."""
        for api in Api:
            self._library.rd_kafka_mock_clear_request_errors(self._cluster, api)

    def cut_connections(self) -> int:
        """Break every connection of this process to the broker; return how many."""
        port = int(self.bootstrap_servers.rpartition(":")[2])
        count = 0
        for connection in _sockets():
            try:
                if connection.getpeername()[1] == port:
                    connection.shutdown(socket.SHUT_RDWR)
                    count += 1
            except OSError:
                continue
        return count


@contextmanager
def _borrowed(descriptor: int) -> Iterator[socket.socket | None]:
    try:
        duplicate = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        yield None
        return
    with duplicate:
        yield duplicate


def _sockets() -> Iterator[socket.socket]:
    """Yield duplicates of all sockets of this process."""
    for path in list(Path("/proc/self/fd").iterdir()):
        with _borrowed(int(path.name)) as connection:
            if connection is not None and connection.family == socket.AF_INET:
                yield connection
