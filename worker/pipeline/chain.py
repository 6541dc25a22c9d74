"""A model's stages, each with what it reads from and hands on to."""

from __future__ import annotations

from collections.abc import Iterator

from worker.codec import Decoder, ScoreEncoder
from worker.codec.forwarding import ForwardingCodec
from worker.codec.labels import label_schema
from worker.drift import BinCounter
from worker.features import Spec
from worker.pipeline.dead_letters import DeadLetters
from worker.pipeline.sinks import Forwarding, LabelForwarding, Scoring, Sink
from worker.pipeline.sources import Inside, Outside
from worker.pipeline.stage import Stage
from worker.pipeline.topology import Topology
from worker.scoring import LoadedModel

#: Names of the stages that belong to no entity.
ROUTE, LABELS = "route", "labels"


def build_stages(
    model: LoadedModel,
    topology: Topology,
    *,
    threshold: float,
    app_version: str,
    max_message_bytes: int,
    control_group_share: float = 0.0,
    checks_keys: bool = True,
) -> dict[str, Stage]:
    """Return the stage that answers each topic's records.

    Parameters
    ----------
    max_message_bytes
        The largest record that the dead letters' topic takes.
    control_group_share
        Of the payments that would be flagged, the share that is let through.
    checks_keys
        Whether a transaction's record must have the key of its entity; lines of a
        file have none.
    """

    def letters(stage: str) -> DeadLetters:
        return DeadLetters(
            topology.dead_letters, stage, app_version, model.version, max_message_bytes
        )

    encoder = ScoreEncoder(threshold, model.version, control_group_share)
    built, spec = {}, model.spec
    decoder = Decoder(spec.schema, key_is_entity=0 if checks_keys else None)
    outside = Outside(decoder, spec.schema.keys[0] if spec.schema.rekey else None)
    if topology.is_routed:
        sink = Forwarding(codec_of(spec, 0), topology.stages[0])
        built[topology.transactions] = Stage(outside, None, sink, letters(ROUTE))
    for stage, topic in enumerate(topology.stages):
        is_first = topic == topology.transactions
        built[topic] = Stage(
            outside if is_first else Inside(codec_of(spec, stage)),
            model.stages[stage],
            _sink(model, topology, stage, encoder),
            letters(spec.entities[stage].name),
        )
    if topology.labels is not None:
        built[topology.labels] = _label_stage(spec, topology, letters(LABELS))
    return built


def _sink(
    model: LoadedModel, topology: Topology, stage: int, encoder: ScoreEncoder
) -> Sink:
    following = stage + 1
    if following < len(topology.stages):
        return Forwarding(codec_of(model.spec, following), topology.stages[following])
    return Scoring(
        model.scorer,
        model.reasons,
        encoder,
        scores_topic=topology.scores,
        transactions_topic=topology.transactions,
        counter=None if model.reference is None else BinCounter(model.reference),
    )


def codec_of(spec: Spec, stage: int) -> ForwardingCodec:
    """Return what writes and reads the records that a stage consumes."""
    return ForwardingCodec(
        spec.schema,
        spec.fields_after(stage - 1),
        key=spec.entities[stage].key,
        column_count=len(spec.names_after(stage - 1)),
    )


def _label_stage(spec: Spec, topology: Topology, letters: DeadLetters) -> Stage:
    targets = list(label_targets(spec, topology))
    schema = label_schema(spec.schema, [key for _, key in targets])
    source = Outside(Decoder(schema, key_is_entity=None))
    return Stage(source, None, LabelForwarding(targets), letters)


def label_targets(spec: Spec, topology: Topology) -> Iterator[tuple[str, str]]:
    """Yield the topics into which labels go, with the key field of each."""
    for stage, topic in enumerate(topology.stages):
        if spec.stage_uses_labels(stage):
            yield topic, spec.entities[stage].key
