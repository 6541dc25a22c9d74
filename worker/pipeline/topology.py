"""Which topics the stages of a spec read and write.

A stage for each entity, in the spec's order, each on a topic that is keyed by its
entity. The first reads the transactions, unless these have other keys, or its own
windows look at labels: then a stage without state goes before it, which brings all into
one log.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from worker.codec.forwarding import FORWARDING_FORMAT
from worker.features import Spec


@dataclass(frozen=True, slots=True)
class TopicNames:
    """What people call the topics at the edges."""

    transactions: str
    labels: str
    scores: str
    dead_letters: str


@dataclass(frozen=True, slots=True)
class Topology:
    """The topics of one group.

    Attributes
    ----------
    labels
        None where no window looks at labels.
    stages
        The topic that each entity's stage reads.
    """

    transactions: str
    labels: str | None
    scores: str
    dead_letters: str
    stages: tuple[str, ...]

    @classmethod
    def of(cls, spec: Spec, group: str, names: TopicNames) -> Topology:
        """Return the topics of a group that works by that spec."""
        count = len(spec.entities)
        stages = [_inner_name(spec, group, stage) for stage in range(count)]
        if not (spec.stage_uses_labels(0) or spec.schema.rekey):
            stages[0] = names.transactions
        return cls(
            transactions=names.transactions,
            labels=names.labels if spec.uses_labels else None,
            scores=names.scores,
            dead_letters=names.dead_letters,
            stages=tuple(stages),
        )

    @property
    def is_routed(self) -> bool:
        """Whether a stage without state goes before the first entity's."""
        return self.stages[0] != self.transactions

    @property
    def inner(self) -> tuple[str, ...]:
        """The topics between the stages, which belong to the group."""
        return tuple(name for name in self.stages if name != self.transactions)

    @property
    def followers(self) -> tuple[str, ...]:
        """Topics of which a worker reads the same partitions as of the transactions."""
        labels = () if self.labels is None else (self.labels,)
        return (*labels, *self.inner)

    @property
    def consumed(self) -> tuple[str, ...]:
        """All that are read."""
        return (self.transactions, *self.followers)

    @property
    def written(self) -> tuple[str, ...]:
        """All that are written to."""
        return (*self.inner, self.scores, self.dead_letters)

    @property
    def every(self) -> tuple[str, ...]:
        """All of them; they have equal numbers of partitions."""
        return (*self.consumed, self.scores, self.dead_letters)

    @property
    def stateless(self) -> frozenset[str]:
        """Topics whose records leave nothing behind in memory."""
        return frozenset(self.consumed).difference(self.stages)


def _inner_name(spec: Spec, group: str, stage: int) -> str:
    """Name a topic after all that decides what its records hold and mean.

    What was written under another meaning is never read.
    """
    meaning = [
        FORWARDING_FORMAT,
        spec.state_fingerprint,
        spec.names_after(stage - 1),
        spec.fields_after(stage - 1),
    ]
    digest = hashlib.sha256(json.dumps(meaning).encode()).hexdigest()
    return f"{group}-{spec.entities[stage].name}-{digest[:8]}"
