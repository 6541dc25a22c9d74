"""Splits of labelled history by time, as the model would have lived through it.

Owns the windows of a training and of the week that it is evaluated on, and what was
known when. Never shuffles, knows no file and no model.

    |<- train_days ->|<- label delay ->|<- test_days ->|
    first            until             test_first      test_until

The gap is the time that a fraud takes to be confirmed: a model trained on a day whose
labels are not known yet would be one that nobody can have on that day.

Source: chapters 3 and 5 of the Fraud Detection Handbook (Le Borgne et al., 2022).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.errors import InvalidConfig
from worker.features.durations import UNIT_MS

DAY_MS = UNIT_MS["d"]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Lengths of the training window, of the gap, and of the evaluation.

    Attributes
    ----------
    victim_days
        Frauds from that many days before the end of training on make known victims.
        As published; not the length of the training, or two models that learn from
        more and from less would be measured on different transactions.
    """

    train_days: int = 7
    label_delay_ms: int = 7 * DAY_MS
    test_days: int = 7
    victim_days: int = 7

    @property
    def after_training_ms(self) -> int:
        """From the end of the training window to the end of the evaluation."""
        return self.label_delay_ms + self.test_days * DAY_MS


@dataclass(frozen=True, slots=True)
class LabelledHistory:
    """What a split needs to know of n transactions, in order of event time.

    Attributes
    ----------
    event_time_ms
        (n,) int64, never decreasing.
    customer
        (n,) int64: number of the first entity's key, equal for equal keys.
    fraud
        (n,) bool; a transaction without a label is genuine.
    known_ms
        (n,) int64: from when a fraud is known; of no meaning for genuine ones.
    """

    event_time_ms: Integers
    customer: Integers
    fraud: Flags
    known_ms: Integers

    def take(self, rows: slice | Flags) -> LabelledHistory:
        """Return the history of those rows."""
        return LabelledHistory(
            self.event_time_ms[rows],
            self.customer[rows],
            self.fraud[rows],
            self.known_ms[rows],
        )


@dataclass(frozen=True, slots=True)
class Windows:
    """Half-open windows of event time, in milliseconds: [first, until)."""

    first_ms: int
    until_ms: int
    test_first_ms: int
    test_until_ms: int
    victims_first_ms: int

    @property
    def begin_ms(self) -> int:
        """The first event time that matters to any of them."""
        return min(self.first_ms, self.victims_first_ms)

    @classmethod
    def ending(cls, until_ms: int, plan: SplitPlan) -> Windows:
        """Return the windows of a training that ends just before `until_ms`."""
        return cls(
            first_ms=until_ms - plan.train_days * DAY_MS,
            until_ms=until_ms,
            test_first_ms=until_ms + plan.label_delay_ms,
            test_until_ms=until_ms + plan.after_training_ms,
            victims_first_ms=until_ms - plan.victim_days * DAY_MS,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the history, and the labels as they were known when training ended.

    Attributes
    ----------
    train
        Rows of the training window.
    train_fraud
        (len(train),) bool: frauds known when the evaluation begins.
    test
        Rows of the evaluation, without customers whose card was known to be
        compromised: those would be blocked, and flagging them is no merit.
    test_all
        Rows of the evaluation, all of them: what the worker will score.
    """

    windows: Windows
    train: slice
    train_fraud: Flags
    test: NDArray[np.intp]
    test_all: slice


def latest_until_ms(history: LabelledHistory, plan: SplitPlan) -> int:
    """End of the training window whose evaluation ends with the last whole day."""
    last_ms = int(history.event_time_ms[-1])
    return last_ms // DAY_MS * DAY_MS + DAY_MS - plan.after_training_ms


def split(history: LabelledHistory, windows: Windows) -> Split:
    """Divide history into a training and an evaluation.

    Raises
    ------
    InvalidConfig
        Where a window has no transaction or no fraud.
    """
    train = _rows(history, windows.first_ms, windows.until_ms)
    test_all = _rows(history, windows.test_first_ms, windows.test_until_ms)
    known = history.fraud[train] & (history.known_ms[train] <= windows.test_first_ms)
    kept = np.arange(test_all.start, test_all.stop)
    kept = kept[~_of_known_customers(history, windows, test_all)]
    result = Split(windows, train, known, kept, test_all)
    problems = list(_problems(history, result))
    if problems:
        raise InvalidConfig(problems, subject="time split")
    return result


def _rows(history: LabelledHistory, first_ms: int, until_ms: int) -> slice:
    start, stop = np.searchsorted(history.event_time_ms, [first_ms, until_ms])
    return slice(int(start), int(stop))


def _of_known_customers(
    history: LabelledHistory, windows: Windows, test: slice
) -> Flags:
    """Whether the customer was known as a victim when the row's day began."""
    day = day_of_evaluation(history, windows, test)
    day_first_ms = windows.test_first_ms + day * DAY_MS
    past = _rows(history, windows.victims_first_ms, windows.test_until_ms)
    frauds = np.flatnonzero(history.fraud[past]) + past.start
    never = np.iinfo(np.int64).max
    known_ms = np.full(int(history.customer.max(initial=-1)) + 1, never)
    np.minimum.at(known_ms, history.customer[frauds], history.known_ms[frauds])
    victims: Flags = known_ms[history.customer[test]] <= day_first_ms
    return victims


def day_of_evaluation(
    history: LabelledHistory, windows: Windows, rows: slice | NDArray[np.intp]
) -> Integers:
    """(rows,) int64: days since the evaluation began, of 24 hours each."""
    since: Integers = history.event_time_ms[rows] - windows.test_first_ms
    return since // DAY_MS


def _problems(history: LabelledHistory, made: Split) -> Iterator[str]:
    """One sentence for each window that nothing can be learnt from."""
    windows = made.windows
    training = f"the training window {period(windows.first_ms, windows.until_ms)}"
    testing = f"the evaluation {period(windows.test_first_ms, windows.test_until_ms)}"
    data = (
        f"the data go from {moment(int(history.event_time_ms[0]))} "
        f"to {moment(int(history.event_time_ms[-1]))}"
    )
    if made.train.stop == made.train.start:
        yield f"{training} holds no transaction; {data}"
    elif not made.train_fraud.any():
        yield f"{training} holds no fraud that was known when the evaluation begins"
    elif made.train_fraud.all():
        yield f"{training} holds frauds only"
    frauds = history.fraud[made.test]
    if len(made.test) == 0:
        yield f"{testing} holds no transaction; {data}"
    elif not frauds.any():
        yield f"{testing} holds no fraud of a customer not known as a victim before"
    elif frauds.all():
        yield f"{testing} holds frauds only"


def parse_until_ms(text: str) -> int:
    """Read the end of a window: a date, which is included, or an instant, which is not.

    Raises
    ------
    ValueError
        Where the text is neither.

    Examples
    --------
    >>> parse_until_ms("2018-07-31") == parse_until_ms("2018-08-01T00:00:00Z")
    True
    """
    if len(text) == len("2018-07-31"):
        day = dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), dt.UTC)
        return round(day.timestamp()) * 1_000 + DAY_MS
    instant = dt.datetime.fromisoformat(text)
    if instant.tzinfo is None:
        msg = f"{text!r} has no offset; write 2018-08-01T00:00:00Z, or a date"
        raise ValueError(msg)
    return round(instant.timestamp() * 1_000)


def moment(time_ms: int) -> str:
    """Return an instant as people read it, in UTC, to the second."""
    return f"{_utc(time_ms):%Y-%m-%d %H:%M:%S}"


def period(first_ms: int, until_ms: int) -> str:
    """Return a half-open window as people read it: whole days by their dates.

    Examples
    --------
    >>> period(0, 7 * DAY_MS)
    '1970-01-01..1970-01-07'
    """
    if first_ms % DAY_MS or until_ms % DAY_MS:
        return f"{moment(first_ms)}..{moment(until_ms)}"
    return f"{_utc(first_ms):%Y-%m-%d}..{_utc(until_ms - 1):%Y-%m-%d}"


def last_day(until_ms: int) -> str:
    """Return the date of the last instant before `until_ms`, in UTC."""
    return f"{_utc(until_ms - 1):%Y-%m-%d}"


def _utc(time_ms: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=time_ms)
