"""What an answer must contain, and how the published one differs from that.

Pure. The same bytes as expected are the fast and usual case; only what differs is
taken apart to name the fields.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from worker.audit.claims import (
    by_share,
    dead_letter_of,
    published_flags,
    published_versions,
)
from worker.audit.differences import (
    InForce,
    ScoreRules,
    dead_letter_differences,
    header_differences,
    score_differences,
)
from worker.audit.fold import FoldedRecords
from worker.audit.pairing import Answers, Comparison, Verdict
from worker.audit.report import Finding
from worker.codec import DeadLetter, Decisions, ScoreEncoder, origin_headers
from worker.scoring import LoadedModel
from worker.scoring.golden import LAST_PLACES, TOLERANCE

Rows = NDArray[np.intp]

#: What exact models may differ by between processors; scores are at most 1.
_LAST_PLACES = LAST_PLACES * float(np.spacing(1.0))


BY_THE_BUNDLE = InForce()


class Contents:
    """Compares answers with what the fold of their records says.

    Parameters
    ----------
    model_of
        Returns a version's model, None where there is no such bundle.
    feature_fingerprint
        Of the spec that the records were folded by. Answers of a model with another
        spec are left alone, and their versions collected in `other_versions`.
    in_force
        What was set for the workers that answered.
    stage
        The one that rejects records; by default that of the first entity.
    """

    def __init__(
        self,
        model_of: Callable[[str], LoadedModel | None],
        *,
        feature_fingerprint: str,
        in_force: InForce = BY_THE_BUNDLE,
        stage: str | None = None,
    ):
        self._model_of = model_of
        self._fingerprint = feature_fingerprint
        self._in_force = in_force
        self._stage = stage
        self.other_versions: set[str] = set()

    def compare(self, rows: FoldedRecords, answers: Answers) -> Comparison:
        """Compare n records with their n answers, all of one topic."""
        versions = published_versions(answers)
        parts = [
            self._compare_version(version, rows, answers, at)
            for version, at in _by_version(versions)
        ]
        return Comparison(
            sum(part.compared for part in parts),
            sum(part.not_compared for part in parts),
            [verdict for part in parts for verdict in part.verdicts],
        )

    def _compare_version(
        self, version: str | None, rows: FoldedRecords, answers: Answers, at: Rows
    ) -> Comparison:
        """Compare the answers at those rows, all of one model version."""
        if version is None:
            verdicts = _verdicts(at, Finding.DIFFERENT, "value or headers")
            return Comparison(len(at), 0, verdicts)
        model = self._model_of(version)
        if model is None:
            what = "its model version is not in the models directory"
            return Comparison(0, 0, _verdicts(at, Finding.UNVERIFIABLE, what))
        if model.spec.feature_fingerprint != self._fingerprint:
            self.other_versions.add(version)
            return Comparison(0, 0, ())
        if len(at) != len(answers):
            rows, answers = rows.take(at), answers.take(at)
        if not answers.is_score:
            stage = self._stage or model.spec.entities[0].name
            return _located(at, _compare_dead_letters(rows, answers, stage=stage))
        return _located(at, self._compare_scores(model, rows, answers))

    def _compare_scores(
        self, model: LoadedModel, rows: FoldedRecords, answers: Answers
    ) -> Comparison:
        usable = rows.is_score.copy()
        usable[usable] = rows.comparable[rows.events[usable]]
        at = np.flatnonzero(usable)
        verdicts = [
            Verdict(int(of_share[row]), Finding.DIFFERENT, ", ".join(names))
            for share, of_share in by_share(answers, at)
            for row, names in _wrong_scores(
                rows.take(of_share),
                answers.take(of_share),
                model,
                self._in_force,
                share,
            )
        ]
        wrong_kind = np.flatnonzero(~rows.is_score)
        verdicts += _verdicts(
            wrong_kind, Finding.DIFFERENT, "a score, not a dead letter"
        )
        compared = len(at) + len(wrong_kind)
        return Comparison(compared, len(answers) - compared, verdicts)


def _wrong_scores(
    rows: FoldedRecords,
    answers: Answers,
    model: LoadedModel,
    in_force: InForce,
    share: float,
) -> list[tuple[int, list[str]]]:
    """Return the rows that differ, with the names of the fields; all are events.

    All of them name the same share of the control group, which may have been none that
    was in force.
    """
    wrong = _differing_scores(rows, answers, model, in_force, share)
    if in_force.shares is None or share in in_force.shares:
        return wrong
    # What does not reach the threshold names no share, and is right without one.
    reached = np.flatnonzero(published_flags(answers) | (share > 0))
    known = {row for row, _ in wrong}
    more = (row for row in reached.tolist() if row not in known)
    return wrong + [(row, ["control_group_share"]) for row in more]


def _differing_scores(
    rows: FoldedRecords,
    answers: Answers,
    model: LoadedModel,
    in_force: InForce,
    share: float,
) -> list[tuple[int, list[str]]]:
    """Return the same, whether or not that share was in force."""
    thresholds = in_force.thresholds
    threshold = thresholds[0] if thresholds else model.threshold
    encoder = ScoreEncoder(threshold, model.version, share)
    scores = model.scorer.score(rows.X)
    decisions = encoder.decide(rows.batch.transaction_ids, scores)
    values = _encoded(rows, decisions, decisions.flagged, encoder, model)
    origins = origin_headers(
        rows.place.topic,
        np.full(len(rows.offsets), rows.place.partition, np.int64),
        rows.offsets,
        rows.digests,
    )
    headers = [[origin] for origin in origins]
    if (values, headers, rows.keys) == (answers.values, answers.headers, answers.keys):
        return []
    # Reasons belong to what was flagged, by whatever threshold; `rules` judge that.
    values = _encoded(rows, decisions, published_flags(answers), encoder, model)
    tolerance = _LAST_PLACES if model.scorer.is_exact else TOLERANCE
    rules = ScoreRules({model.threshold, *thresholds}, tolerance, share)
    return [
        (row, names)
        for row, value in enumerate(values)
        if (
            names := score_differences(
                value, answers.values[row], float(scores[row]), rules
            )
            + header_differences(headers[row], answers.headers[row])
            + (["key"] if rows.keys[row] != answers.keys[row] else [])
        )
    ]


def _encoded(
    rows: FoldedRecords,
    decisions: Decisions,
    flagged: NDArray[np.bool_],
    encoder: ScoreEncoder,
    model: LoadedModel,
) -> list[bytes]:
    reasons = None
    if model.reasons is not None:
        reasons = model.reasons.of_scores(rows.X, flagged)
    return encoder.encode(
        rows.batch,
        decisions,
        rows.late,
        rows.duplicate,
        rows.incomplete,
        reasons=reasons,
    )


def _compare_dead_letters(
    rows: FoldedRecords, answers: Answers, *, stage: str
) -> Comparison:
    verdicts = []
    for row in range(len(answers)):
        names = _dead_letter_names(rows, answers, row, stage)
        if names:
            verdicts.append(Verdict(row, Finding.DIFFERENT, ", ".join(names)))
    return Comparison(len(answers), 0, verdicts)


def _dead_letter_names(
    rows: FoldedRecords, answers: Answers, row: int, stage: str
) -> list[str]:
    rejection = rows.rejections[row]
    if rejection is None:
        return ["a dead letter, not a score"]
    letter = dead_letter_of(answers.headers[row])
    assert letter is not None, "without headers there is no model version"
    value = rows.values[row]
    expected = DeadLetter(
        reason=rejection.reason,
        field=rejection.field,
        stage=stage,
        origin=rows.place,
        offset=int(rows.offsets[row]),
        timestamp_ms=rows.timestamps_ms[row],
        app_version=letter.app_version,
        model_version=letter.model_version,
        payload_size=len(value or b""),
        payload_truncated=letter.payload_truncated,
    )
    published = (answers.keys[row], answers.values[row])
    return dead_letter_differences(expected, (rows.keys[row], value), published, letter)


def _by_version(versions: list[str | None]) -> list[tuple[str | None, Rows]]:
    """Return each version with its rows; nearly always there is only one."""
    if len(set(versions)) == 1:
        return [(versions[0], np.arange(len(versions)))]
    return [
        (version, np.array([i for i, v in enumerate(versions) if v == version]))
        for version in dict.fromkeys(versions)
    ]


def _verdicts(rows: Rows, finding: Finding, what: str) -> list[Verdict]:
    return [Verdict(int(row), finding, what) for row in rows]


def _located(at: Rows, part: Comparison) -> Comparison:
    """Say of a comparison of some of the rows which of all they are."""
    verdicts = [v._replace(row=int(at[v.row])) for v in part.verdicts]
    return Comparison(part.compared, part.not_compared, verdicts)
