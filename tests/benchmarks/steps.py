"""Where the time of a batch goes, by the worker's own metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

_STEPS = "fraud_batch_stage_duration_seconds"
_SCORED = "fraud_events_scored"

#: A worker that drains answers between two batches.
_TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class StepSeconds:
    """What a worker has told since its start: seconds in each step, events scored."""

    seconds: Mapping[str, float]
    scored: float

    def microseconds_since(self, before: StepSeconds) -> dict[str, float]:
        """Return the wall time of each step for each event scored meanwhile.

        Raises
        ------
        ValueError
            There were none.
        """
        scored = self.scored - before.scored
        if not scored:
            raise ValueError("all was scored at once: give it more events")
        return {
            step: (seconds - before.seconds.get(step, 0.0)) / scored * 1e6
            for step, seconds in self.seconds.items()
        }


def ask(port: int) -> StepSeconds:
    """Ask a worker on this machine for its metrics, as Prometheus would."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
        return steps_of(answer.read().decode())


def steps_of(text: str) -> StepSeconds:
    """Read what matters here from the text of all metrics."""
    seconds, scored = {}, 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"{_STEPS}_sum":
                seconds[sample.labels["stage"]] = sample.value
            elif sample.name == f"{_SCORED}_total":
                scored += sample.value
    return StepSeconds(seconds, scored)
