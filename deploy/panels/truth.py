"""Panels about what labels say, which only `fraud-worker truth` tells."""

from __future__ import annotations

from deploy.panels.parts import Panel, Query, rate
from deploy.truth import Quality

_DAY, _WEEK = Quality("1d"), Quality("7d")


def _forecast(figure: str) -> Query:
    return Query(
        f'max by (model_version) (fraud_forecast_ratio{{figure="{figure}"}})',
        "{{model_version}} forecast",
    )


def _beside_forecast(figure: str) -> tuple[Query, ...]:
    return (
        Query(_WEEK.ratio(figure), "{{model_version}}"),
        Query(_WEEK.expected(figure), "{{model_version}} expected"),
        _forecast(figure),
    )


TRUTH_PANELS = (
    Panel(
        "Precision by labels",
        "Share of frauds among the flagged payments whose labels are settled, over a "
        "week; what the scores of all payments expect; and the evaluation's.",
        "percentunit",
        _beside_forecast("precision"),
    ),
    Panel(
        "Recall by labels",
        "Share of the frauds that were flagged, of payments whose labels are settled, "
        "over a week; what the scores of all expect; and the evaluation's.",
        "percentunit",
        _beside_forecast("recall"),
    ),
    Panel(
        "ROC AUC by labels",
        "Chance that a fraud has a higher score than a genuine payment, over a day and "
        "over a week, and that of the evaluation; payments of one bin are ties.",
        "percentunit",
        (
            Query(_DAY.ratio("roc_auc"), "{{model_version}} 1d"),
            Query(_WEEK.ratio("roc_auc"), "{{model_version}} 7d"),
            _forecast("roc_auc"),
        ),
    ),
    Panel(
        "Expected over found frauds",
        "Sum of the scores over the frauds that labels tell of, over a week: 1 is "
        "calibrated, less means more frauds than the scores say.",
        "short",
        (Query(_WEEK.ratio("calibration"), "{{model_version}}"),),
    ),
    Panel(
        "Frauds and flags by labels",
        "Share of frauds, and of flagged payments, of those whose labels are settled, "
        "over a week.",
        "percentunit",
        (
            Query(_WEEK.ratio("base"), "{{model_version}} frauds"),
            Query(_WEEK.ratio("flag"), "{{model_version}} flagged"),
        ),
    ),
    Panel(
        "Labels that decide nothing",
        "Late, of an unknown payment, repeated or malformed.",
        "ops",
        (
            Query(f"sum({rate('fraud_labels_late_total')})", "late"),
            Query(
                f"sum by (reason) ({rate('fraud_labels_unmatched_total')})",
                "{{reason}}",
            ),
        ),
    ),
    Panel(
        "Delay of labels",
        "Median and 95th percentile of the time from a fraud to its label, in a week.",
        "s",
        (
            Query(_WEEK.delay("median"), "median"),
            Query(_WEEK.delay("p95"), "p95"),
        ),
    ),
    Panel(
        "Scores that were judged",
        "Share of the settled scores of a week that could be; the others came after "
        "their cohort was judged, or were malformed.",
        "percentunit",
        (Query(_WEEK.judged, "judged"),),
    ),
)
