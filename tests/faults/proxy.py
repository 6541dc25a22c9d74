"""A TCP proxy in front of a broker that understands just enough of Kafka.

It sees where requests begin, which call each is, and which answer is whose; one of
them can be kept waiting, or its answer lost together with the connection.
"""

from __future__ import annotations

import asyncio
import enum
import struct
import threading
from typing import NamedTuple, Self

from demo.kafka_command import HOST

#: The call that ends a commit, in the protocol's numbers.
END_COMMIT = 26

#: All that a coordinator is asked: who it is, offsets, membership, commits.
COORDINATION = frozenset({8, 9, 10, 11, 12, 13, 14, 22, 24, 25, 26, 28})


class Harm(enum.Enum):
    """What can be done to a call."""

    HOLD_REQUEST = "the request waits on its way; the client may give up meanwhile"
    HOLD_ANSWER = "the answer waits on its way"
    CUT = "the connection breaks after the request, before the answer"
    CUT_AND_HOLD = "the connection breaks, and the request arrives all the same, later"


class Trap(NamedTuple):
    """Set for the next call of that number."""

    call: int
    harm: Harm
    seconds: float


class Proxy:
    """Listens on one loopback port for a broker on another; a context manager."""

    def __init__(self, port: int, broker_port: int):
        self.address = f"{HOST}:{port}"
        #: How often a trap was sprung, and how many of those calls reached the broker.
        self.sprung = self.landed = 0
        #: Calls that nobody may make, and how many were made and broke off.
        self.refused: frozenset[int] = frozenset()
        self.refusals = 0
        self._port = port
        self._broker_port = broker_port
        self._trap: Trap | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def set_trap(self, call: int, harm: Harm, seconds: float = 0.0) -> None:
        """Harm the next such call, once."""
        self._trap = Trap(call, harm, seconds)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        started = asyncio.start_server(self._accept, HOST, self._port)
        server = self._loop.run_until_complete(started)
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            broker = await asyncio.open_connection(HOST, self._broker_port)
        except OSError:
            writer.close()
            return
        await _Connection(self, (reader, writer), broker).run()

    def refuses(self, call: int) -> bool:
        """Whether the call must break off; counts it if so."""
        is_refused = call in self.refused
        self.refusals += is_refused
        return is_refused

    def spring(self, call: int) -> Trap | None:
        """Return the trap if it was set for this call."""
        trap = self._trap
        if trap is None or trap.call != call:
            return None
        self._trap = None
        self.sprung += 1
        return trap


class _Connection:
    """One client's connection and the broker's side of it."""

    def __init__(
        self,
        proxy: Proxy,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ):
        self._proxy = proxy
        self._from_client, self._to_client = client
        self._from_broker, self._to_broker = broker
        self._trapped: dict[int, Trap] = {}

    async def run(self) -> None:
        """Pass frames on until both sides are done.

        A client that hangs up does not take back what it has sent.
        """
        requests = asyncio.create_task(self._requests())
        answers = asyncio.create_task(self._answers())
        await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            # The broker is gone, or the trap asked for a cut.
            self._to_client.close()
        await requests
        self._to_broker.close()
        await answers
        self._to_client.close()

    async def _requests(self) -> None:
        while (frame := await _frame(self._from_client)) is not None:
            call, _, correlation = struct.unpack_from(">hhi", frame)
            if self._proxy.refuses(call):
                self._to_client.close()
                return
            trap = self._proxy.spring(call)
            if trap is not None:
                self._trapped[correlation] = trap
                if trap.harm is Harm.CUT_AND_HOLD:
                    self._to_client.close()
                if trap.harm in {Harm.HOLD_REQUEST, Harm.CUT_AND_HOLD}:
                    await asyncio.sleep(trap.seconds)
            if not await _send(self._to_broker, frame):
                return
            if trap is not None:
                self._proxy.landed += 1

    async def _answers(self) -> None:
        while (frame := await _frame(self._from_broker)) is not None:
            (correlation,) = struct.unpack_from(">i", frame)
            trap = self._trapped.pop(correlation, None)
            if trap is not None and trap.harm is Harm.CUT:
                return
            if trap is not None and trap.harm is Harm.HOLD_ANSWER:
                await asyncio.sleep(trap.seconds)
            # What a client does not wait for any more is read all the same.
            await _send(self._to_client, frame)


async def _frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next request or answer, None at the end."""
    try:
        size = await reader.readexactly(4)
        return await reader.readexactly(int.from_bytes(size, "big"))
    except (asyncio.IncompleteReadError, OSError):
        return None


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> bool:
    try:
        writer.write(len(frame).to_bytes(4, "big") + frame)
        await writer.drain()
    except OSError:
        return False
    return True
