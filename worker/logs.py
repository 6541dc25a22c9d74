"""How log lines look, and what must never be in one.

A message is the name of an event, its facts stand in `extra`. JSON lines for machines,
text for a terminal. Quotes no payload: of an error of other code only the type and the
places in the code are told, since its text may quote what it stumbled over.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from traceback import extract_tb
from typing import Any, Literal, TextIO

import orjson

from worker.errors import WorkerError

#: Names that facts must not have: they would hold what a payment said.
FORBIDDEN = frozenset(
    {
        *("amount", "body", "customer", "customer_id", "key", "password", "payload"),
        *("record", "secret", "terminal_id", "transaction_id", "value"),
    }
)

#: Longest text of a fact; ours are names and sentences.
_MAX_TEXT = 2000

#: Warnings of one kind are written at most this often, seconds.
WARNING_INTERVAL_SECONDS = 10.0

#: Kinds that are remembered; beyond that all are forgotten.
_MAX_KINDS = 1000

#: Facts that tell one kind of warning from another.
_KINDS = ("reason", "error")

_OWN_ATTRIBUTES = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
)


def configure(
    *,
    form: Literal["auto", "json", "text"] = "auto",
    level: str = "info",
    stream: TextIO | None = None,
) -> None:
    """Send the log to a stream, standard error by default; replaces what was there.

    Other packages are heard from warnings on.
    """
    stream = stream or sys.stderr
    if form == "auto":
        form = "text" if stream.isatty() else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("worker").setLevel(level.upper())
    logging.captureWarnings(capture=True)


def last_words(error: WorkerError, *, exit_code: int) -> None:
    """Say once why the process ends: to a program as a line, to a person in full."""
    handlers = logging.getLogger().handlers
    if any(isinstance(handler.formatter, JsonLines) for handler in handlers):
        facts = {"exit_code": int(exit_code), "because": str(error)}
        logging.getLogger(__name__).critical("stopped", extra=facts)
    else:
        sys.stderr.write(f"fraud-worker: {error}\n")


class RateLimit(logging.Filter):
    """Lets the first warning of a kind through, then one in each interval.

    Thousands of dead letters with one reason are one piece of news. What is let
    through says how many were not since the last.
    """

    def __init__(
        self,
        interval_seconds: float = WARNING_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self._interval = interval_seconds
        self._clock = clock
        self._since: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if record.levelno != logging.WARNING:
            return True
        facts = vars(record)
        kind = (record.name, record.msg, *(facts.get(name) for name in _KINDS))
        since, suppressed = self._since.get(kind, (-self._interval, 0))
        now = self._clock()
        if now - since < self._interval:
            self._since[kind] = (since, suppressed + 1)
            return False
        if len(self._since) >= _MAX_KINDS:
            self._since.clear()
        self._since[kind] = (now, 0)
        if suppressed:
            record.suppressed = suppressed
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **facts_of(record),
        }
        error = _error_of(record)
        if error is not None:
            line["error_type"] = _type_name(error)
            line["trace"] = list(trace(error))
        return orjson.dumps(line, default=str).decode()


class TextLines(logging.Formatter):
    """For people: the time, the event, its facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with a trace below it where there is an error."""
        facts = " ".join(f"{name}={value}" for name, value in facts_of(record).items())
        time_of_day = _time(record)[11:]
        line = f"{time_of_day} {record.levelname:<7} {record.getMessage()} {facts}"
        error = _error_of(record)
        places = () if error is None else trace(error)
        return "\n  ".join([line.rstrip(), *places])


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the facts of a record, without what must not be told."""
    return {
        name: "hidden" if name in FORBIDDEN else _harmless(value)
        for name, value in vars(record).items()
        if name not in _OWN_ATTRIBUTES
    }


def trace(error: BaseException) -> Iterator[str]:
    """Yield types and places of an error and of its causes, nothing that it says."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        seen.append(following)
        yield f"{_type_name(following)}{_own_words(following)}"
        for frame in extract_tb(following.__traceback__):
            place = "/".join(Path(frame.filename).parts[-3:])
            yield f"  {place}:{frame.lineno} {frame.name}"
        following = following.__cause__ or following.__context__


def _own_words(error: BaseException) -> str:
    """Return what an error says where that can be no payload."""
    return f": {error}" if isinstance(error, WorkerError | OSError) else ""


def _harmless(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _harmless(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(item) for item in value]
    text = str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _type_name(error: BaseException) -> str:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{module}{kind.__qualname__}"


def _time(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
