"""The scene: live traffic, a shift, a loss, a stop, and what must be seen of each."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from demo.broker import KafkaBroker
from demo.kafka_command import HOST
from deploy.rules import milliseconds
from tests.live import LiveWorker, Stream
from tests.observe.measures import empty_panels, psi_differences
from tests.observe.prometheus import Prometheus, running
from tests.observe.stream import EventClock, Producing, publish_model
from tests.waiting import wait_until

DRIFT = ("FraudFeatureDrift", "amount")
SURGE = ("FraudMissingSurge", "basket")
ABSENT = ("FraudMetricsAbsent", "")

#: These tell of the machine that everything shares, and are not what is shown here.
OF_THE_MACHINE = "FraudLatencyBurn"

#: Labels become known ten minutes after their payments; a cohort also waits for the
#: lateness of the spec, an hour.
_SOON_MATURE = {"FRAUD_LABEL_MATURITY_DAYS": "0.01"}

#: PSI may differ from numpy over the same counts, and over the topic's own events.
MAX_DIFFERENCES = (1e-9, 1e-3)


@dataclass
class Scene:
    """What plays, and what was wrong so far."""

    stream: Stream
    worker: LiveWorker
    prometheus: Prometheus
    producers: list[Producing]
    factor: int
    problems: list[str] = field(default_factory=list)

    def pass_by(self, time_of_operation: str) -> None:
        """Let a time go by, so many times faster."""
        deadline = time.monotonic() + self._seconds(time_of_operation)
        wait_until(
            lambda: time.monotonic() > deadline,
            what="the end of a time",
            seconds=self._seconds(time_of_operation) + 10,
        )

    def expect(self, what: str, wanted: set[tuple[str, str]]) -> None:
        """Note whether exactly these alerts fire."""
        found = self._firing()
        self.say(f"{what}: {_named(found)}")
        if found != wanted:
            self.problems.append(f"{what}: expected {_named(wanted)}")

    def await_alert(self, alert: tuple[str, str]) -> None:
        """Wait until an alert fires; at most two hours of operation."""
        began = time.monotonic()
        try:
            wait_until(
                lambda: alert in self._firing(),
                what=f"{alert} fires",
                seconds=self._seconds("2h") + 30,
            )
        except AssertionError as error:
            self.problems.append(str(error))
        minutes = (time.monotonic() - began) * self.factor / 60
        self.say(f"{_named({alert})} after {minutes:.0f} minutes of operation")

    def silence(self, *, is_silent: bool) -> None:
        """Let all producers pause, or go on."""
        for producer in self.producers:
            producer.is_silent = is_silent

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(line, flush=True)

    def _firing(self) -> set[tuple[str, str]]:
        found = self.prometheus.firing()
        return {each for each in found if not each[0].startswith(OF_THE_MACHINE)}

    def _seconds(self, time_of_operation: str) -> float:
        return milliseconds(time_of_operation) / 1_000 / self.factor


def observe(
    kafka: KafkaBroker, directory: Path, *, factor: int, rate: int
) -> list[str]:
    """Play everything; return what was not as it should be."""
    models = publish_model(directory)
    stream = Stream(kafka, "observed", models, directory)
    stream.create_topics()
    labels = f"{stream.group}-labels"
    kafka.create_topics({labels: 1})
    with ExitStack() as closing:
        closing.callback(stream.stop)
        worker = stream.start(FRAUD_START="earliest")
        worker.await_event("started")
        truth = stream.start(
            "truth", command="truth", FRAUD_LABELS_TOPIC=labels, **_SOON_MATURE
        )
        truth.await_event("started", 1)
        topics, clock = (stream.transactions, labels), EventClock(factor)
        producers = [
            Producing(kafka.bootstrap_servers, *topics, clock, seed, rate // 2)
            for seed in (1, 2)
        ]
        for producer in producers:
            closing.enter_context(producer.running())
        # What the first batches compile is none of what is shown.
        stream.await_answers(5 * rate)
        worker_at, truth_at = _address_of(worker), _address_of(truth)
        prometheus = closing.enter_context(
            running(directory / "prometheus", worker_at, truth_at, factor)
        )
        scene = Scene(stream, worker, prometheus, producers, factor)
        for part in (_undrifted, _shifted, _dropped, _stopped):
            part(scene)
    return scene.problems


def _address_of(process: LiveWorker) -> str:
    (*_, started) = process.events("started")
    return f"{HOST}:{started['metrics_port']}"


def _undrifted(scene: Scene) -> None:
    scene.pass_by("75m")
    scene.expect("live traffic as in training", set())


def _shifted(scene: Scene) -> None:
    """Amounts grow; between two silences, so that a window holds just these."""
    scene.silence(is_silent=True)
    scene.pass_by("8m")
    for producer in scene.producers:
        producer.shift = 1.6
    scene.silence(is_silent=False)
    scene.pass_by("50m")
    scene.silence(is_silent=True)
    scene.pass_by("3m")
    scene.expect("amounts are 1.6 times larger", {DRIFT})
    _hold_to_numpy(scene)
    scene.silence(is_silent=False)


def _hold_to_numpy(scene: Scene) -> None:
    found = psi_differences(scene.prometheus, scene.stream, scene.factor)
    for feature, measured in found.items():
        scene.say(
            f"  PSI of {feature}: {measured.recorded:.9f}; off numpy by "
            f"{measured.off_counts:.1e} over the same counts, by "
            f"{measured.off_events:.1e} over the topic's {measured.events:,} events"
        )
        for off, limit in zip(
            (measured.off_counts, measured.off_events), MAX_DIFFERENCES, strict=True
        ):
            if not off <= limit:
                scene.problems.append(f"PSI of {feature} is off by {off}")


def _dropped(scene: Scene) -> None:
    scene.producers[1].drops_basket = True
    scene.await_alert(SURGE)
    scene.pass_by("5m")
    scene.expect("one of two producers drops the basket", {DRIFT, SURGE})
    empty = empty_panels(scene.prometheus)
    scene.say(f"queries of panels without data: {len(empty)}")
    scene.problems += [f"no data: {panel}" for panel in empty]


def _stopped(scene: Scene) -> None:
    code = scene.worker.end()
    scene.say(f"the worker is stopped, with code {code}")
    scene.await_alert(ABSENT)
    others = scene.prometheus.firing() - {DRIFT, SURGE, ABSENT}
    others = {each for each in others if not each[0].startswith(OF_THE_MACHINE)}
    if others:
        scene.problems.append(f"the stop: {_named(others)} too")


def _named(alerts: set[tuple[str, str]]) -> str:
    names = [f"{name} ({of})" if of else name for name, of in sorted(alerts)]
    return ", ".join(names) or "no alert"
