"""All stages of a spec over one log: what training and audits compute.

A worker runs each stage on a log of its own; here one log of events goes through all of
them, and labels stand in it where they were known.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.features.spec import Spec
from worker.features.transform import FeatureRows, FeatureTransform
from worker.records import EventBatch, LabelBatch


class HistoryTransform:
    """Computes every feature of a spec, stage after stage, over one log."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._stages = [FeatureTransform(spec, i) for i in range(len(spec.entities))]
        self._states = [stage.new_state() for stage in self._stages]

    def transform(
        self, events: EventBatch, labels: Mapping[int, LabelBatch]
    ) -> FeatureRows:
        """Compute the rows of the events that follow those seen so far.

        Parameters
        ----------
        labels
            By stage: those that stand between these events, with that entity's keys.

        Raises
        ------
        StateUnusable
            When a limit on live keys or events is reached.
        """
        first, *others = zip(self._stages, self._states, strict=True)
        stage, state = first
        rows = stage.transform(events, state, labels=labels.get(0))
        for stage, state in others:
            rows = stage.transform(
                events, state, labels=labels.get(stage.stage), given=rows.X
            )
        return rows
