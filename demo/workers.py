"""Workers as child processes: started, watched, asked for their metrics, stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from demo import child
from demo.kafka_jars import tail
from demo.programs import DemoError, command, environment, failure, running
from demo.scrape import Scrape, WorkerFigures, figures, scrape

#: Longest start, seconds: the first one compiles the kernels.
_START_SECONDS = 180.0

#: A start that compiles nothing takes less, seconds.
_LONG_SECONDS = 5.0

_LOOK_SECONDS = 0.05


class WorkerProcess:
    """One worker: its name, its log and its process."""

    def __init__(self, name: str, log: Path, process: child.Child):
        self.name = name
        self._log = log
        self._process = process
        self._metrics_port = 0
        self._last: Scrape | None = None
        self.figures: WorkerFigures | None = None

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def await_start(self, on_long_wait: Callable[[], None]) -> str:
        """Wait until it has told its ports; return the model that it uses.

        Parameters
        ----------
        on_long_wait
            Called once, when it takes longer than a start that compiles nothing.

        Raises
        ------
        DemoError
            It ended, or takes too long.
        """
        began, is_told = time.monotonic(), False
        while (started := _started(self._log)) is None:
            self.check()
            waited = time.monotonic() - began
            if waited > _START_SECONDS:
                raise DemoError(f"{self.name} does not start; {tail(self._log)}")
            if waited > _LONG_SECONDS and not is_told:
                is_told = True
                on_long_wait()
            time.sleep(_LOOK_SECONDS)
        self._metrics_port = int(started["metrics_port"])
        return str(started["model"])

    def check(self) -> None:
        """Raises DemoError if the process has ended."""
        if (code := self._process.poll()) is not None:
            raise failure(self.name, code, self._log)

    def measure(self) -> None:
        """Ask for its metrics."""
        new = scrape(self._metrics_port)
        if new is not None and self._last is not None:
            self.figures = figures(self._last, new)
        self._last = new or self._last

    def partitions(self) -> int:
        """Ask how many partitions are in its care."""
        now = scrape(self._metrics_port)
        return 0 if now is None else int(now["fraud_kafka_assigned_partitions"])

    def stop(self) -> None:
        """Let it end in good order.

        Raises
        ------
        DemoError
            It did not end with code 0.
        """
        if code := child.stop(self._process):
            raise failure(self.name, code, self._log)


@contextmanager
def worker(
    name: str,
    directory: Path,
    settings: Mapping[str, str],
    *,
    argv: Sequence[str] | None = None,
) -> Iterator[WorkerProcess]:
    """Run a worker of that name; it is gone at the end of the context.

    Parameters
    ----------
    argv
        The program, where it is not the worker's own.
    """
    log = directory / f"{name}.log"
    own = {
        "FRAUD_INSTANCE": name,
        "FRAUD_START": "earliest",
        "FRAUD_STATE_DIR": str(directory / f"{name}.state"),
        "FRAUD_METRICS_PORT": "0",
        "FRAUD_HEALTH_PORT": "0",
        "FRAUD_LOG_FORMAT": "json",
    }
    env = environment({**settings, **own})
    program = argv or command("fraud-worker", "run")
    with running(program, log=log, env=env) as process:
        yield WorkerProcess(name, log, process)


def _started(log: Path) -> dict[str, Any] | None:
    """Return what the worker told when it had started."""
    for line in log.read_bytes().split(b"\n")[:-1]:
        if line.startswith(b"{") and b'"started"' in line:
            facts: dict[str, Any] = orjson.loads(line)
            if facts.get("event") == "started":
                return facts
    return None
