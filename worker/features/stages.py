"""Which stage computes which feature: the first that knows everything it needs.

An event passes the stages in the order of the spec's entities. Stage i holds the state
of entity i, and receives what the stages before it have computed of an event.
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
