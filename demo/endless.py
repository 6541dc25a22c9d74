"""Payments without end, for a stack that is left running.

    python -m demo.endless --bootstrap-servers localhost:9092 --rate 10

Simulated weeks of history fill the windows; then the clock of the simulation runs as
fast as the rate makes it, from 2000 on, until it reaches today's. What was reached is
kept in a file, and a later start goes on there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import random
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from demo.live import EVENT_TIME, LABEL_TIME, Player, Sending, Shares, records
from demo.programs import DemoError, command, run
from demo.reader import LABELS, TRANSACTIONS
from demo.traffic import HISTORY_DAYS

#: The first simulated day.
ORIGIN = dt.date(2000, 1, 1)

#: Simulated at a time: few enough for files of some 25 MB.
STRETCH_DAYS = 90

#: Terminals of a customer: as many in each one's reach as at the model's training.
_TERMINALS_EACH = 2

#: History is sent as fast as this, payments a second, so that none waits a second.
_HISTORY_RATE = 5_000.0

#: What was reached is written down after so many payments.
PAYMENTS_AT_ONCE = 50

#: The file that holds it, in the directory of the simulated payments.
REACHED = "reached"

_ID = b'{"transaction_id":"'


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some days of the time of the same customers, as files."""

    number: int
    directory: Path
    customers: int

    @property
    def first(self) -> dt.date:
        """Its first day."""
        return ORIGIN + dt.timedelta(days=self.number * STRETCH_DAYS)

    @property
    def next_first(self) -> dt.date:
        """The first day of the one behind it."""
        return self.first + dt.timedelta(days=STRETCH_DAYS)

    def simulate(self) -> None:
        """Write its payments and labels; the files of the one before go.

        Raises
        ------
        DemoError
            `fraud-train simulate` failed.
        """
        numbers = {
            "customers": self.customers,
            "terminals": _TERMINALS_EACH * self.customers,
            "days": STRETCH_DAYS,
            "start": self.first.isoformat(),
            "stretch": self.number,
            "format": "jsonl",
            "out": self.directory,
        }
        flags = [f"--{name}={value}" for name, value in numbers.items()]
        argv = command("fraud-train", "simulate", *flags)
        run(argv, log=self.directory / "simulate.log")

    def lines(self, name: str, field: str, after: str, until: str) -> Iterator[bytes]:
        """Yield the lines of a file whose time lies in (after, until].

        Ids are made unlike those of other stretches.
        """
        unique = b"%s%d-" % (_ID, self.number)
        with (self.directory / f"{name}.jsonl").open("rb") as file:
            for line in file:
                if after < orjson.loads(line)[field] <= until:
                    yield line.replace(_ID, unique, 1)


class Endless:
    """The payments of one stretch after the other, and how far they were sent.

    Parameters
    ----------
    directory
        Holds the files of the stretch, and what was reached.
    broken
        Share of the payments to be spoilt.
    today
        No payment is sent before its day is over.

    Attributes
    ----------
    reached
        Time of the last payment sent, or what lies before the next one's.
    """

    def __init__(self, directory: Path, customers: int, broken: float, today: dt.date):
        self._directory = directory
        self._customers = customers
        self._shares = Shares(broken)
        self._today = today
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / REACHED
        is_known = self._path.exists()
        self.reached = self._path.read_text() if is_known else _midnight(ORIGIN)
        self._is_stopped = False
        self._player: Player | None = None

    def stop(self) -> None:
        """Send no more."""
        self._is_stopped = True
        if self._player is not None:
            self._player.stop()

    def send(self, servers: str, rate: float) -> int:
        """Send until stopped, or until today; return how many records were lost.

        Parameters
        ----------
        rate
            Payments a second once the windows are full; 0: all at once.

        Raises
        ------
        DemoError
            A stretch could not be simulated.
        """
        filled = _midnight(ORIGIN + dt.timedelta(days=HISTORY_DAYS))
        lost = 0
        while not self._is_stopped and not lost:
            stretch = self.stretch
            if stretch.next_first > self._today:
                print(f"reached today, at {self.reached}", flush=True)
                break
            stretch.simulate()
            for until, pace in (
                (filled, _HISTORY_RATE),
                (_midnight(stretch.next_first), rate),
            ):
                if self.reached < until and not self._is_stopped:
                    lost += self._play(self.traffic(stretch, until), servers, pace)
        return lost

    @property
    def stretch(self) -> Stretch:
        """The one that comes next, or is under way."""
        days = (dt.date.fromisoformat(self.reached[:10]) - ORIGIN).days
        return Stretch(days // STRETCH_DAYS, self._directory, self._customers)

    def traffic(self, stretch: Stretch, until: str) -> Iterator[Sending]:
        """Yield what comes of a stretch from what was reached on, until a time.

        Labels of its last days become known in the next one; they come at its end.
        """
        after, is_end = self.reached, until == _midnight(stretch.next_first)
        payments = stretch.lines("transactions", EVENT_TIME, after, until)
        known = "9" if is_end else until
        labels = stretch.lines("labels", LABEL_TIME, after, known)
        dice = random.Random(after)
        yield from records(self._noted(payments), labels, self._shares, dice)
        self._note(until)

    def _play(self, traffic: Iterator[Sending], servers: str, rate: float) -> int:
        player = self._player = Player(servers, TRANSACTIONS, LABELS)
        if self._is_stopped:
            player.stop()
        player.play(traffic, rate=rate, seconds=0)
        self._player = None
        self._note(self.reached)
        print(f"{self.reached}: sent {player.sent:,}, lost {player.lost:,}", flush=True)
        return player.lost

    def _noted(self, payments: Iterable[bytes]) -> Iterator[bytes]:
        """Note now and then what was reached, from where a crash goes on."""
        for number, line in enumerate(payments, start=1):
            yield line
            self.reached = orjson.loads(line)[EVENT_TIME]
            if number % PAYMENTS_AT_ONCE == 0:
                self._note(self.reached)

    def _note(self, reached: str) -> None:
        self.reached = reached
        partial = self._path.with_suffix(".partial")
        partial.write_text(reached)
        partial.replace(self._path)


def _midnight(day: dt.date) -> str:
    """What sorts behind the times of the day before, and before all of this one."""
    return f"{day.isoformat()}T"


def main(argv: Sequence[str] | None = None) -> int:
    """Send payments; 1 when the broker did not confirm every record."""
    arguments = parser().parse_args(argv)
    today = dt.datetime.now(dt.UTC).date()
    customers, broken = arguments.customers, arguments.broken
    endless = Endless(arguments.directory, customers, broken, today)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: endless.stop())
    try:
        lost = endless.send(arguments.bootstrap_servers, arguments.rate)
    except DemoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 1 if lost else 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    found = argparse.ArgumentParser(
        prog="python -m demo.endless",
        description="Send simulated payments and labels without end.",
    )
    add = found.add_argument
    add("--bootstrap-servers", required=True, metavar="SERVERS")
    add("--rate", type=float, default=10, help="payments a second (default: 10)")
    add("--customers", type=int, default=1_000, metavar="N", help="default: 1000")
    add("--broken", type=float, default=0, metavar="SHARE", help="records to spoil")
    add("--directory", type=Path, required=True, help="what was reached, and scratch")
    return found


if __name__ == "__main__":
    sys.exit(main())
