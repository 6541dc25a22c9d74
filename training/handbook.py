"""Figures that the Fraud Detection Handbook publishes, to print beside one's own.

Source: Le Borgne, Siblini, Lebichot, Bontempi, "Reproducible Machine Learning for
Credit Card Fraud Detection - Practical Handbook" (2022), chapters 3, 5 and 7; on its
simulated data, with 15 features of the payment, the customer and, from labels of a week
before, the terminal.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """A published model: average precision, ROC AUC, card precision at 100."""

    model: str
    average_precision: float
    roc_auc: float
    card_precision: float


#: Trained on 2018-07-25..07-31, evaluated on 2018-08-08..08-14 (chapters 3 and 7).
ONE_WEEK = (
    Published("logistic regression", 0.606, 0.871, 0.291),
    Published("decision tree, depth 2", 0.496, 0.763, 0.241),
    Published("random forest", 0.658, 0.867, 0.287),
    Published("XGBoost", 0.639, 0.862, 0.273),
    Published("neural network", 0.653, 0.864, 0.286),
)

#: Means over the four test weeks 2018-08-08..09-04, parameters chosen on validation
#: weeks (chapters 5 and 7).
FOUR_WEEKS = (
    Published("logistic regression", 0.623, 0.868, 0.297),
    Published("decision tree", 0.579, 0.797, 0.284),
    Published("random forest", 0.678, 0.870, 0.299),
    Published("XGBoost", 0.687, 0.869, 0.303),
    Published("neural network", 0.675, 0.876, 0.303),
)

#: What must be said beside the figures, or they would be compared with something else.
NOTE = (
    "published: the Fraud Detection Handbook's figures on its own simulated data and "
    "these weeks, with features of the customer and the terminal"
)
