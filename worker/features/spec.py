"""A spec: what a transform computes, and what follows from that.

Owns the horizon and the fingerprints; `spec_reader` owns the TOML. Knows no data.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from worker.features.declarations import (
    AgeFeature,
    CalendarFeature,
    CategoryFeature,
    Entity,
    Feature,
    WindowFeature,
)
from worker.features.spec_reader import SpecParts, read_spec
from worker.features.stages import fields_after, input_names, known_after, stages_of
from worker.features.vocabularies import vocabulary_toml
from worker.records import EventSchema

#: Raised by hand whenever the same spec comes to mean another state: ties, bounds,
#: lateness, duplicates, hashing, layout.
STATE_SEMANTICS = 2


@dataclass(frozen=True)
class Spec:
    """A transform as its author declared it.

    Attributes
    ----------
    text
        The TOML, unchanged: it is copied into every bundle.
    schema
        The fields of an event.
    features
        In declared order; each refers to fields and to earlier features only.
    """

    text: str
    name: str
    schema: EventSchema
    time_zone: str
    allowed_lateness_ms: int
    entities: tuple[Entity, ...]
    features: tuple[Feature, ...]

    @classmethod
    def from_toml(cls, text: str) -> Spec:
        """Read a spec.

        Raises
        ------
        InvalidConfig
            Listing every problem by its place.
        """
        parts: SpecParts = read_spec(text)
        return cls(
            text=text,
            name=parts.name,
            schema=parts.schema,
            time_zone=parts.time_zone,
            allowed_lateness_ms=parts.allowed_lateness_ms,
            entities=parts.entities,
            features=parts.features,
        )

    def with_vocabularies(self, learnt: Mapping[str, Sequence[str]]) -> Spec:
        """Return the spec with vocabularies for some categories that had none.

        They stand behind the text of the author, which stays as it is.
        """
        tables = [vocabulary_toml(name, values) for name, values in learnt.items()]
        return Spec.from_toml("\n\n".join([self.text.rstrip("\n"), *tables]) + "\n")

    @property
    def unlearnt(self) -> tuple[CategoryFeature, ...]:
        """The categories without a vocabulary: training learns them."""
        return tuple(
            f
            for f in self.features
            if isinstance(f, CategoryFeature) and f.vocabulary is None
        )

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in the order of the columns of X."""
        return tuple(f.name for f in self.features if f.output)

    @cached_property
    def stages(self) -> dict[str, int]:
        """The stage that computes each feature: the place of an entity."""
        return stages_of(self.features, self.entities)

    @property
    def uses_labels(self) -> bool:
        """Whether any feature speaks of confirmed frauds."""
        return any(self.stage_uses_labels(i) for i in range(len(self.entities)))

    def stage_uses_labels(self, stage: int) -> bool:
        """Whether a window of that stage's entity speaks of confirmed frauds."""
        return any(
            isinstance(f, WindowFeature)
            and f.statistic.needs_labels
            and self.stages[f.name] == stage
            for f in self.features
        )

    def names_after(self, stage: int) -> tuple[str, ...]:
        """Names of the columns that a stage hands on: after the last, those of X."""
        return known_after(stage, self.features, self.stages)

    def fields_after(self, stage: int) -> tuple[str, ...]:
        """Names of the event's fields that stages after that one look at.

        In the schema's order; without id and event time, which each event has.
        """
        needed = fields_after(stage, self.features, self.stages, self.entities)
        always = {self.schema.transaction_id, self.schema.event_time}
        names = (field.name for field in self.schema.fields)
        return tuple(name for name in names if name in needed - always)

    @cached_property
    def horizon_ms(self) -> int:
        """How far back in event time a row can depend on the log.

        delay + window + the largest horizon of the inputs: a 14-day count over a
        30-day mean reaches back 44 days.
        """
        horizons: dict[str, int] = {}
        for feature in self.features:
            own = feature.span_ms if isinstance(feature, WindowFeature) else 0
            inputs = (horizons.get(name, 0) for name in input_names(feature))
            horizons[feature.name] = own + max(inputs, default=0)
        return max(horizons.values(), default=0)

    @property
    def retention_ms(self) -> int:
        """How far behind the watermark the log still matters: horizon and lateness."""
        return self.horizon_ms + self.allowed_lateness_ms

    @cached_property
    def state_fingerprint(self) -> str:
        """Hex sha256 of all that decides what the state holds.

        Equal fingerprints: a snapshot made under one spec may be used under the
        other, whatever else the model looks at.
        """
        kept = self._features_behind_windows()
        return _digest(
            {
                "semantics": STATE_SEMANTICS,
                "schema": _schema(self.schema),
                "entities": [dataclasses.asdict(e) for e in self.entities],
                "lateness_ms": self.allowed_lateness_ms,
                "time_zone": self._zone_if_used(kept),
                "features": [_definition(f) for f in kept],
            }
        )

    @cached_property
    def feature_fingerprint(self) -> str:
        """Hex sha256 of the state and of every column of X: binds a model to them."""
        return _digest(
            {
                "state": self.state_fingerprint,
                "time_zone": self._zone_if_used(self.features),
                "features": [_definition(f) for f in self.features],
                "columns": self.feature_names,
            }
        )

    def _features_behind_windows(self) -> tuple[Feature, ...]:
        """Windows and everything that they are computed from."""
        needed: set[str] = set()
        for feature in reversed(self.features):
            if isinstance(feature, WindowFeature) or feature.name in needed:
                needed.add(feature.name)
                needed.update(input_names(feature))
        # A category may bear the name of its field, which a window may look at; the
        # category itself is behind no window, or a new vocabulary were a new state.
        return tuple(
            f
            for f in self.features
            if f.name in needed and not isinstance(f, CategoryFeature)
        )

    def _zone_if_used(self, features: tuple[Feature, ...]) -> str | None:
        used = any(isinstance(f, CalendarFeature | AgeFeature) for f in features)
        return self.time_zone if used else None


def _definition(feature: Feature) -> dict[str, object]:
    """What a feature computes; whether the model sees it is not part of that."""
    parts = dataclasses.asdict(feature)
    del parts["output"]
    return {"kind": type(feature).__name__, **parts}


def _schema(schema: EventSchema) -> dict[str, object]:
    """What an event consists of; how its record is keyed is not part of that."""
    parts = dataclasses.asdict(schema)
    del parts["rekey"]
    return parts


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
