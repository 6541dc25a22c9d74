"""How good scores are: pure functions of labels and published scores.

Owns average precision, ROC AUC, card precision, and the threshold of an alert budget.
Higher scores mean more suspicion; scores are the published ones, rounded to 9 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: How many cards a day an investigator's team is taken to check, as published.
CARDS_PER_DAY = 100

#: Distance between two published scores.
SCORE_STEP = 1e-9


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores put frauds first.

    Attributes
    ----------
    card_precision
        Mean over days of the share of victims among the 100 cards that look worst.
    best_card_precision
        What perfect scores would reach: there are fewer victims than checks.
    """

    average_precision: float
    roc_auc: float
    card_precision: float
    best_card_precision: float

    def figures(self) -> Mapping[str, float]:
        """Return the figures by their names."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Alerts:
    """What a threshold means for the people who read the alerts.

    Attributes
    ----------
    per_day
        Mean number of flagged transactions.
    precision, recall
        Share of frauds among flagged, and of flagged among frauds; nan without any.
    """

    threshold: float
    per_day: float
    precision: float
    recall: float

    def figures(self) -> Mapping[str, float]:
        """Return the figures by their names, without the threshold."""
        return {
            "alerts_per_day": self.per_day,
            "alert_precision": self.precision,
            "alert_recall": self.recall,
        }


def rank(fraud: Flags, scores: Floats, *, day: Integers, customer: Integers) -> Ranking:
    """Measure a ranking of n transactions that holds frauds and genuine ones."""
    perfect = fraud.astype(np.float64)
    return Ranking(
        average_precision=float(average_precision_score(fraud, scores)),
        roc_auc=float(roc_auc_score(fraud, scores)),
        card_precision=card_precision(fraud, scores, day=day, customer=customer),
        best_card_precision=card_precision(fraud, perfect, day=day, customer=customer),
    )


def card_precision(
    fraud: Flags,
    scores: Floats,
    *,
    day: Integers,
    customer: Integers,
    cards_per_day: int = CARDS_PER_DAY,
) -> float:
    """Mean over days of the share of victims among the cards checked that day.

    A card has the largest score and the worst label of its transactions of the day;
    a victim that was found is not looked at on later days. Of equal scores, the card
    with the lower number comes first.

    Source: chapter 4 of the Fraud Detection Handbook (Le Borgne et al., 2022).
    """
    found = np.zeros(int(customer.max(initial=-1)) + 1, np.bool_)
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~found[customer])
        cards, card = np.unique(customer[rows], return_inverse=True)
        worst = np.full(len(cards), -np.inf)
        np.maximum.at(worst, card, scores[rows])
        victim = np.zeros(len(cards), np.bool_)
        np.logical_or.at(victim, card, fraud[rows])
        checked = np.argsort(-worst, kind="stable")[:cards_per_day]
        hits = cards[checked[victim[checked]]]
        found[hits] = True
        shares.append(len(hits) / cards_per_day)
    return float(np.mean(shares)) if shares else 0.0


def threshold_for_budget(scores: Floats, *, alerts: int) -> float:
    """Return the lowest published score that flags at most so many of the scores.

    Where the highest score alone is shared by more, nothing would be flagged: then
    the threshold lies one step above it.

    Examples
    --------
    >>> threshold_for_budget(np.array([0.1, 0.7, 0.7, 0.9]), alerts=2)
    0.9
    >>> threshold_for_budget(np.array([0.1, 0.7, 0.7, 0.9]), alerts=3)
    0.7
    """
    values, counts = np.unique(scores, return_counts=True)
    flagged = np.cumsum(counts[::-1])[::-1]
    within = np.flatnonzero(flagged <= alerts)
    if len(within) == 0:
        return float(np.round(values[-1] + SCORE_STEP, 9))
    return float(values[within[0]])


def alerts_at(threshold: float, fraud: Flags, scores: Floats, *, days: int) -> Alerts:
    """Count what a threshold flags: scores at or above it."""
    flagged = scores >= threshold
    hits = int((flagged & fraud).sum())
    return Alerts(
        threshold=threshold,
        per_day=int(flagged.sum()) / days,
        precision=_share(hits, int(flagged.sum())),
        recall=_share(hits, int(fraud.sum())),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
