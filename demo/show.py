"""The sequence of the demo: set up, history, live traffic, drain, audit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from demo import child
from demo.display import Display
from demo.programs import DemoError, await_end, command, running
from demo.signals import Signals
from demo.stack import Options, Stack
from demo.summary import AT_LEAST_ONCE, summary
from demo.tally import Tally
from demo.traffic import TrafficPlan, read_traffic
from demo.view import Scene, clock

#: How often the screen is redrawn, and the workers are measured, seconds.
_REDRAW_SECONDS, _MEASURE_SECONDS = 0.25, 1.0

#: How often a condition is looked at, seconds.
_LOOK_SECONDS = 0.1

#: How long the workers may take for the history, and for what is left at the end.
_HISTORY_SECONDS, _DRAIN_SECONDS = 300.0, 60.0


def show(options: Options, directory: Path, signals: Signals) -> int:
    """Run the demo; return the exit code of the audit.

    1. set up: broker, topics, workers, simulated payments
    2. the history fills the windows, as fast as the workers can score it
    3. live traffic, until its time is up; then what still waits is answered
    4. the workers stop, and the audit speaks

    Parameters
    ----------
    directory
        For everything that is written.

    Raises
    ------
    DemoError, BrokerError
        Something failed.
    Ended
        A signal came.
    """
    with ExitStack() as closing:
        demo = _Demo(options, directory, closing, signals)
        demo.score_history()
        demo.play_live()
        return demo.audit()


class _Demo:
    """All that runs, and what is known of it."""

    def __init__(
        self,
        options: Options,
        directory: Path,
        closing: ExitStack,
        signals: Signals,
    ):
        self._options = options
        self._signals = signals
        self._began = monotonic()
        today = dt.datetime.now(dt.UTC).date()
        plan = TrafficPlan(options.seconds, options.rate, options.seed, today=today)
        simulate = command("fraud-train", *plan.arguments(directory))
        log = directory / "simulate.log"
        simulating = closing.enter_context(running(simulate, log=log))
        self._stack = Stack(options, directory, closing)
        self._say("broker", f"{self._stack.broker.title}; {self._stack.broker.servers}")
        self._stack.create_topics()
        self._workers = self._stack.start_workers()
        await_end(simulating, log)
        self._traffic = read_traffic(plan, directory)
        self._say("traffic", plan.description)
        self._tally = Tally(self._traffic.frauds)
        self._reader = self._stack.open_reader(self._tally)
        self._model = ""
        self._measured = 0.0

    def score_history(self) -> None:
        """Send what fills the windows; wait for its scores.

        Raises
        ------
        DemoError
            Something failed, or takes too long.
        """
        self._stack.send_all(self._traffic.history)
        for worker in self._workers:
            self._model = worker.await_start(self._tell_patience)
        deadline = monotonic() + _HISTORY_SECONDS
        names = ", ".join(worker.name for worker in self._workers)
        self._await(self._has_settled, deadline, "the workers do not share the work")
        self._say("workers", f"{names}; model {self._model}")
        count = self._traffic.history_count
        has_answers = partial(self._reader.has_answers_of, count)
        self._await(has_answers, deadline, "the history is not scored in time")
        self._say("history", f"{count:,} payments scored")

    def play_live(self) -> None:
        """Show live traffic until it ends and is answered, or Ctrl-C ends it."""
        self._reader.begin_live()
        log = self._stack.live_log
        with Display() as display, self._signals.finishing():
            with self._stack.send_live(self._traffic.live) as player:
                self._watch(player, display)
                await_end(player, log)
            self._drain(display)

    def audit(self) -> int:
        """Let the workers stop, say how it was, and let `verify` speak."""
        for worker in self._workers:
            worker.stop()
        print()
        for line in summary(self._tally):
            print(line)
        if not self._stack.broker.is_real:
            print(AT_LEAST_ONCE)
        print("audit    fraud-worker verify reads, folds and compares all of it\n")
        return self._stack.verify()

    def _watch(self, player: child.Child, display: Display) -> None:
        """Show what happens until the player has ended."""
        began, whole = monotonic(), clock(self._options.seconds)
        while player.poll() is None:
            if self._signals.is_finish_requested:
                player.terminate()
            seconds = min(monotonic() - began, self._options.seconds)
            self._update(display, f"{clock(seconds)} of {whole}")

    def _drain(self, display: Display) -> None:
        """Show what happens until everything is answered, or takes too long."""
        count, began = self._stack.records_in_log(), monotonic()
        while not self._reader.has_answers_of(count):
            if monotonic() - began > _DRAIN_SECONDS:
                return
            self._update(display, "answering what is left")
        self._update(display, "all answered")

    def _update(self, display: Display, phase: str) -> None:
        """Measure, show, and wait for the next time."""
        self._check()
        if monotonic() - self._measured >= _MEASURE_SECONDS:
            self._measured = monotonic()
            for worker in self._workers:
                worker.measure()
        figures = {worker.name: worker.figures for worker in self._workers}
        scene = Scene(self._stack.broker.title, self._model, phase, figures)
        display.show(self._reader.snapshot(), scene)
        sleep(_REDRAW_SECONDS)

    def _has_settled(self) -> bool:
        """Whether every worker has partitions, and every partition a worker."""
        counts = [worker.partitions() for worker in self._workers]
        return min(counts) > 0 and sum(counts) == self._stack.assigned

    def _await(
        self, condition: Callable[[], bool], deadline: float, complaint: str
    ) -> None:
        while not condition():
            self._check()
            if monotonic() > deadline:
                raise DemoError(complaint)
            sleep(_LOOK_SECONDS)

    def _check(self) -> None:
        """Raises DemoError if something does not run any more, or Ended."""
        self._signals.check()
        self._stack.check()
        for worker in self._workers:
            worker.check()
        if self._reader.failure is not None:
            raise DemoError(f"the view cannot read any more: {self._reader.failure}")

    def _tell_patience(self) -> None:
        self._say(
            "workers", "compiling their kernels, which takes a while the first time"
        )

    def _say(self, step: str, sentence: str) -> None:
        print(f"{monotonic() - self._began:4.1f} s  {step:<9}{sentence}", flush=True)
