"""Which stage computes which feature.

An event passes the stages in the order of the spec's entities. Stage i holds the state
of entity i, and receives what the stages before it have computed of an event. A window
belongs to its entity's stage, or to a later one that knows what it looks at. All else
is computed as late as possible: what is handed on then holds nothing but windows and
what is behind them, so another model of the same state reads it as the last one did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from worker.features.declarations import (
    CalendarFeature,
    DerivedFeature,
    DistanceFeature,
    Entity,
    Feature,
    WindowFeature,
)


def input_names(feature: Feature) -> tuple[str, ...]:
    """Names of the fields and earlier features that a feature is computed from."""
    if isinstance(feature, WindowFeature):
        return tuple(name for name in (feature.of, feature.where) if name is not None)
    if isinstance(feature, DerivedFeature):
        return feature.inputs
    if isinstance(feature, CalendarFeature):
        return ()
    if isinstance(feature, DistanceFeature):
        return feature.places
    return (feature.field,)


def stage_of(
    feature: Feature, entities: Sequence[Entity], earlier: Mapping[str, int]
) -> int:
    """Return the stage that can compute a feature first.

    Parameters
    ----------
    earlier
        The stages of the features before it.
    """
    needed = max((earlier.get(name, 0) for name in input_names(feature)), default=0)
    if isinstance(feature, WindowFeature):
        names = [entity.name for entity in entities]
        return max(needed, names.index(feature.entity))
    return needed


def stages_of(
    features: Sequence[Feature], entities: Sequence[Entity]
) -> dict[str, int]:
    """Return each feature's stage."""
    stages: dict[str, int] = {}
    for feature in features:
        stages[feature.name] = stage_of(feature, entities, stages)
    needed_at: dict[str, int] = {}
    for feature in reversed(features):
        if not isinstance(feature, WindowFeature):
            stages[feature.name] = needed_at.get(feature.name, len(entities) - 1)
        stage = stages[feature.name]
        for name in input_names(feature):
            needed_at[name] = min(stage, needed_at.get(name, stage))
    return stages


def known_after(
    stage: int, features: Sequence[Feature], stages: Mapping[str, int]
) -> tuple[str, ...]:
    """Names of what a stage has to hand on: inputs of the model, and of later ones.

    After the last stage these are the model's inputs.
    """
    needed = {f.name for f in features if f.output}
    needed.update(
        name
        for feature in features
        if stages[feature.name] > stage
        for name in input_names(feature)
    )
    return tuple(
        f.name for f in features if f.name in needed and stages[f.name] <= stage
    )


def fields_after(
    stage: int,
    features: Sequence[Feature],
    stages: Mapping[str, int],
    entities: Sequence[Entity],
) -> frozenset[str]:
    """Names of fields, and of features, that stages after that one look at.

    Stage -1 stands for what comes before the first.
    """
    keys = {entity.key for entity in entities[stage + 1 :]}
    looked_at = {
        name
        for feature in features
        if stages[feature.name] > stage
        for name in input_names(feature)
    }
    return frozenset(keys | looked_at)
