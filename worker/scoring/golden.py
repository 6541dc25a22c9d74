"""Golden events: records whose features and scores every installation must reproduce.

Owns their file, and what counts as the same. Knows no model file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from worker.codec import Decoder
from worker.codec.labels import label_schema, labels_of
from worker.errors import BundleRejected
from worker.features import HistoryTransform, Spec
from worker.records import Decoded, LabelBatch
from worker.scoring.scorer import Scorer

Floats = NDArray[np.float64]

#: How far scores of models that are not exact may lie from the published ones.
TOLERANCE = 1e-9

#: How many units in the last place the scores of exact models may. Sums over trees
#: are the same everywhere. The exponential behind them belongs to the C library:
#: processors with and without fused multiply-add differ by up to 2 units.
LAST_PLACES = 4


@dataclass(frozen=True, slots=True)
class GoldenRecord:
    """A record of the input topic; its value is the JSON as text."""

    key: str
    value: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class GoldenLabel:
    """A record of the labels topic, and how many golden records precede it."""

    before: int
    value: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Golden:
    """Records in log order, folded from an empty state, and what came of them.

    Features and scores are written as `float.hex`, so that no digit is lost.
    """

    records: tuple[GoldenRecord, ...]
    features: tuple[tuple[str, ...], ...]
    scores: tuple[str, ...]
    labels: tuple[GoldenLabel, ...] = ()

    def to_json(self) -> bytes:
        """Return the file's bytes: one line for each record, each row, the scores."""
        parts = []
        for name in ("records", "labels", "features"):
            if not getattr(self, name):
                continue
            lines = msgspec.json.Encoder().encode_lines(list(getattr(self, name)))
            rows = b",\n".join(lines.splitlines())
            parts.append(b'"%s":[\n%s\n]' % (name.encode(), rows))
        parts.append(b'"scores":%s' % msgspec.json.encode(self.scores))
        return b"{%s}\n" % b",\n".join(parts)

    @classmethod
    def from_json(cls, raw: bytes) -> Golden:
        """Read the file.

        Raises
        ------
        BundleRejected
            It is no JSON of this shape, or the parts have different lengths.
        """
        try:
            golden = msgspec.json.decode(raw, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BundleRejected(f"golden.json is not usable: {error}") from None
        if not len(golden.records) == len(golden.features) == len(golden.scores) > 0:
            raise BundleRejected(
                "golden.json must hold records, with features and a score for each"
            )
        return golden


def make_golden(
    records: Sequence[GoldenRecord],
    labels: Sequence[GoldenLabel],
    spec: Spec,
    scorer: Scorer,
) -> Golden:
    """Compute what the records must give from now on.

    Raises
    ------
    BundleRejected
        A record is not accepted by the decoder.
    """
    bare = Golden(tuple(records), (), (), tuple(labels))
    X = golden_rows(bare, spec)
    return replace(
        bare,
        features=tuple(tuple(map(float.hex, row)) for row in X.tolist()),
        scores=tuple(map(float.hex, scorer.score(X).tolist())),
    )


def check_golden(golden: Golden, spec: Spec, scorer: Scorer) -> float:
    """Recompute everything from the records' bytes, and compare.

    Returns
    -------
    float
        The largest absolute difference of a score, within what is allowed; features do
        not differ at all.

    Raises
    ------
    BundleRejected
        At the first difference: what, in which record, expected and found.
    """
    X = golden_rows(golden, spec)
    _check_features(golden, X, spec.feature_names)
    return _check_scores(golden, scorer.score(X), scorer)


def golden_rows(golden: Golden, spec: Spec) -> Floats:
    """Return the features of the records, decoded and folded as the worker does it.

    Raises
    ------
    BundleRejected
        A record or a label is not accepted by the decoder.
    """
    records = golden.records
    decoded = Decoder(spec.schema).decode(
        [record.key.encode() for record in records],
        [record.value.encode() for record in records],
        [record.timestamp_ms for record in records],
    )
    _refuse_rejected(decoded, "record")
    labels = _golden_labels(golden.labels, spec)
    return HistoryTransform(spec).transform(decoded.events, labels).X


def _golden_labels(labels: Sequence[GoldenLabel], spec: Spec) -> dict[int, LabelBatch]:
    """Return each stage's labels."""
    keys = {
        stage: entity.key
        for stage, entity in enumerate(spec.entities)
        if spec.stage_uses_labels(stage)
    }
    if not labels or not keys:
        return {}
    schema = label_schema(spec.schema, tuple(keys.values()))
    decoded = Decoder(schema, key_is_entity=None).decode(
        [None] * len(labels),
        [label.value.encode() for label in labels],
        [label.timestamp_ms for label in labels],
    )
    _refuse_rejected(decoded, "label")
    before = np.array([label.before for label in labels], np.int64)
    return {s: labels_of(decoded.events, key, before) for s, key in keys.items()}


def _refuse_rejected(decoded: Decoded, what: str) -> None:
    for rejection in decoded.rejections:
        raise BundleRejected(
            f"golden {what} {rejection.row} is refused as {rejection.reason}"
            f" (field {rejection.field}): train and publish again"
        )


def _check_features(golden: Golden, X: Floats, names: Sequence[str]) -> None:
    widths = {len(row) for row in golden.features}
    if widths != {len(names)}:
        raise BundleRejected(
            f"golden.json has rows of {sorted(widths)} features, the spec {len(names)}"
        )
    expected = np.array([_floats(row) for row in golden.features])
    different = ~_same_bits(expected, X)
    if different.any():
        row, column = np.argwhere(different)[0].tolist()
        raise _difference(
            f"feature {names[column]}",
            row,
            expected=float(expected[row, column]),
            found=float(X[row, column]),
        )


def _check_scores(golden: Golden, found: Floats, scorer: Scorer) -> float:
    expected = _floats(golden.scores)
    places = LAST_PLACES * np.spacing(np.abs(expected))
    allowed = places if scorer.is_exact else TOLERANCE
    # Written so that a NaN is a difference.
    different = ~(np.abs(found - expected) <= allowed)
    if different.any():
        row = int(np.flatnonzero(different)[0])
        raise _difference(
            "the score", row, expected=float(expected[row]), found=float(found[row])
        )
    return float(np.abs(found - expected).max())


def _difference(
    what: str, row: int, *, expected: float, found: float
) -> BundleRejected:
    return BundleRejected(
        f"{what} of golden record {row} is {found!r} ({found.hex()}), published was "
        f"{expected!r} ({expected.hex()}): this installation computes something else "
        "than the one that trained. Install the libraries of the manifest, or train "
        "and publish again here."
    )


def _floats(texts: Sequence[str]) -> Floats:
    try:
        return np.array([float.fromhex(text) for text in texts], np.float64)
    except (ValueError, OverflowError) as error:
        raise BundleRejected(f"golden.json holds no hex number: {error}") from None


def _same_bits(left: Floats, right: Floats) -> NDArray[np.bool_]:
    """Compare bits, so that 0.0 is not -0.0; one NaN is as good as another."""
    same: NDArray[np.bool_] = left.view(np.int64) == right.view(np.int64)
    return same | (np.isnan(left) & np.isnan(right))
