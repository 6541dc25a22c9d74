"""The reference of a bundle: how the values of each feature, and the scores, lay.

Owns reference.json and its strict reading. Edges come from training and never move, so
counts of any workers and any times can be added up and compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import orjson
from numpy.typing import NDArray

from worker.bundle.table import Table
from worker.drift.kernels import count_parts
from worker.errors import BundleRejected

#: The version of the layout that this module reads and writes.
FORMAT = 1

#: Slots of a baseline beside its bins: no value, and one that training never saw.
MISSING, UNKNOWN = "missing", "unknown"

#: Stands for the published score where features are named; no feature can be called so.
SCORE = "(score)"

#: Bins of a baseline at most: with tenths, 500 values put about 50 into each.
MAX_BINS = 10

#: Windows over which live values may be compared, by name, in seconds.
WINDOWS: Mapping[str, int] = MappingProxyType(
    {"1h": 3_600, "6h": 21_600, "1d": 86_400, "7d": 604_800}
)

_PUBLISH_AGAIN = "Fit and publish the model again with this version of the software."


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the values of one feature, or the scores, lay in training.

    Attributes
    ----------
    edges
        Ascending; bin i holds the values in (edges[i - 1], edges[i]], the first those
        from `least` on, the last those up to `greatest`.
    least, greatest
        What lies beyond them is unknown: training never saw such a value.
    counts
        One for each slot: the bins, missing, unknown.
    design_effects
        For each of `WINDOWS`, how many times the mean PSI of undrifted data exceeds
        that of independent draws, at least 1: events come in bursts.
    min_window_seconds
        The shortest of `WINDOWS` over which undrifted data look undrifted; 0 for none.
    """

    edges: tuple[float, ...]
    least: float
    greatest: float
    counts: tuple[int, ...]
    design_effects: tuple[float, ...] = (1.0,) * len(WINDOWS)
    min_window_seconds: int = WINDOWS["1h"]

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots: the bins by number, then missing and unknown."""
        bins = (f"{number:02}" for number in range(len(self.edges) + 1))
        return (*bins, MISSING, UNKNOWN)

    @property
    def rows(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    @property
    def ratios(self) -> NDArray[np.float64]:
        """(slots,) share of each, none of them 0.

        Half a value is added to each slot: Jeffreys' prior.
        """
        counts = np.array(self.counts, np.float64)
        ratios: NDArray[np.float64] = (counts + 0.5) / (
            counts.sum() + 0.5 * len(counts)
        )
        return ratios


@dataclass(frozen=True, slots=True)
class Reference:
    """What a bundle says about the values that its model was made for.

    Attributes
    ----------
    features
        One baseline for each feature, in the spec's order.
    score
        That of the published scores in the evaluation after the training.
    flag_ratio
        The share of payments that was flagged there: the forecast.
    """

    features: Mapping[str, Baseline]
    score: Baseline
    flag_ratio: float

    @property
    def baselines(self) -> Iterator[tuple[str, Baseline]]:
        """The features' baselines by name, then that of the scores."""
        yield from self.features.items()
        yield SCORE, self.score

    def to_json(self) -> bytes:
        """Return the one way to write it."""
        document = {
            "format": FORMAT,
            "windows_seconds": list(WINDOWS.values()),
            "flag_ratio": self.flag_ratio,
            "score": _document(self.score),
            "features": {name: _document(each) for name, each in self.features.items()},
        }
        return orjson.dumps(document, None, orjson.OPT_APPEND_NEWLINE)

    @classmethod
    def from_json(cls, raw: bytes, feature_names: Sequence[str]) -> Reference:
        """Read a reference strictly.

        Parameters
        ----------
        feature_names
            Those of the model, which the reference must have in the same order.

        Raises
        ------
        BundleRejected
            With one line for each problem.
        """
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BundleRejected(
                f"reference.json is not JSON ({error.msg}). {_PUBLISH_AGAIN}"
            ) from None
        problems: list[str] = []
        reference = _read(Table(document, "", problems), feature_names)
        if problems:
            lines = "\n".join(f"  - {problem}" for problem in problems)
            raise BundleRejected(
                f"reference.json is not usable:\n{lines}\n{_PUBLISH_AGAIN}"
            )
        if reference.to_json() != raw:
            raise BundleRejected(
                f"reference.json was altered after it was written. {_PUBLISH_AGAIN}"
            )
        return reference


def slot_counts(values: NDArray[np.float64], baseline: Baseline) -> NDArray[np.int64]:
    """Return (slots,) how many of (n,) values fall into each slot of a baseline."""
    cells = np.zeros(len(baseline.slots), np.int64)
    count_parts(
        np.empty((len(values), 0)),
        values,
        np.zeros(len(values), np.bool_),
        np.array([len(values)]),
        (
            np.array(baseline.edges, float),
            np.array([0, len(baseline.edges)]),
            np.array([(baseline.least, baseline.greatest)]),
        ),
        cells.reshape(1, -1),
        np.zeros((1, 2)),
    )
    return cells


def _document(baseline: Baseline) -> dict[str, object]:
    return {
        "edges": list(baseline.edges),
        "least": baseline.least,
        "greatest": baseline.greatest,
        "counts": list(baseline.counts),
        "design_effects": list(baseline.design_effects),
        "min_window_seconds": baseline.min_window_seconds,
    }


def _read(top: Table, feature_names: Sequence[str]) -> Reference:
    if top.integer("format", default=FORMAT) != FORMAT:
        top.problem("format", f"only {FORMAT} is known")
    if top.numbers("windows_seconds") != tuple(WINDOWS.values()):
        top.problem("windows_seconds", f"must be {[*WINDOWS.values()]}")
    features = top.table("features")
    baselines = {name: _baseline(features.table(name)) for name in feature_names}
    features.finish()
    reference = Reference(
        features=baselines,
        score=_baseline(top.table("score")),
        flag_ratio=top.number("flag_ratio"),
    )
    if not 0 <= reference.flag_ratio <= 1:
        top.problem("flag_ratio", "must lie between 0 and 1")
    top.finish()
    return reference


def _baseline(table: Table) -> Baseline:
    baseline = Baseline(
        edges=table.numbers("edges"),
        least=table.number("least"),
        greatest=table.number("greatest"),
        counts=tuple(int(count) for count in table.numbers("counts")),
        design_effects=table.numbers("design_effects"),
        min_window_seconds=table.integer("min_window_seconds"),
    )
    table.finish()
    edges = baseline.edges
    if len(edges) >= MAX_BINS or any(a >= b for a, b in pairwise(edges)):
        table.problem("edges", f"must be less than {MAX_BINS}, in ascending order")
    if len(baseline.counts) != len(baseline.slots) or min(baseline.counts) < 0:
        table.problem("counts", "must be one for each bin, one missing, one unknown")
    effects = baseline.design_effects
    if len(effects) != len(WINDOWS) or min(effects) < 1:
        table.problem("design_effects", "must be one of at least 1 for each window")
    if baseline.min_window_seconds not in {0, *WINDOWS.values()}:
        table.problem("min_window_seconds", "must be one of the windows, or 0")
    return baseline
