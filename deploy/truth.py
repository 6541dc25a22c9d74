"""Model quality as PromQL: what labels say, and what the model expects before them.

`fraud-worker truth` counts payments whose label is settled, by model, score bin and
label. Over any window, with P frauds and N genuine payments, of which p and n in a bin:

    precision = flagged frauds / flagged            recall = flagged frauds / P
    AUC = sum over bins of n (p above + p / 2) / (P N)
    calibration = sum of the scores / P             base rate = P / (P + N)

The AUC takes payments of one bin for equal; it is off by at most sum(p n) / (2 P N).
CBPE needs no labels: it takes each score for the chance of a fraud, so a model that is
wrong about that is wrong there too (Nannyml's confidence-based performance estimation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.rules import Alert, Clock, Group, Recording

#: Windows of the wall clock in which payments were judged, or scored for CBPE.
WINDOWS = ("1d", "7d")

#: The alert looks at the longest.
ALERT_WINDOW = WINDOWS[-1]

#: Judged frauds, and for precision flagged payments, that an alert takes at least.
LEAST_FRAUDS = 50

#: A figure is below its forecast by more than this and by so many standard errors.
SHORTFALL, DEVIATIONS = 0.1, 4

#: The job under which prometheus.yml scrapes the process.
JOB = "fraud-truth"

#: A process that does not poll for so long counts nothing, seconds.
STUCK_SECONDS = 60

#: So many of the frauds that the scores expect must be missing for an alert.
MISSING_SHARE = 0.5

#: What is compared with the forecast: the figure's name there, what it is called.
_FIGURES = (("precision", "Precision"), ("recall", "Recall"), ("roc_auc", "ROC AUC"))

_FRAUD, _FLAGGED = 'label="fraud"', 'decision="flagged"'


@dataclass(frozen=True, slots=True)
class Quality:
    """Names of the series that a window has."""

    window: str

    @property
    def bins(self) -> str:
        """Judged payments by bin and label."""
        return f"model_score_bin_label:fraud_truth_payments:increase{self.window}"

    @property
    def above(self) -> str:
        """Judged frauds in higher bins."""
        return f"model_score_bin:fraud_truth_frauds_above:increase{self.window}"

    @property
    def decisions(self) -> str:
        """Judged payments by what became of them, and label."""
        return f"model_decision_label:fraud_truth_decisions:increase{self.window}"

    @property
    def frauds(self) -> str:
        """Judged frauds."""
        return f"model:fraud_truth_frauds:increase{self.window}"

    @property
    def flagged(self) -> str:
        """Judged payments that were flagged."""
        return f"model:fraud_truth_flagged:increase{self.window}"

    @property
    def payments(self) -> str:
        """Judged payments."""
        return f"model:fraud_truth_payments:increase{self.window}"

    @property
    def expected_frauds(self) -> str:
        """Sum of the scores of judged payments."""
        return f"model:fraud_truth_probability_sum:increase{self.window}"

    @property
    def judged(self) -> str:
        """Share of the settled scores that could be judged."""
        return f"all:fraud_truth_judged:ratio{self.window}"

    def delay(self, quantile: str) -> str:
        """Return that quantile of the delay of labels, seconds: median or p95."""
        return f"all:fraud_label_delay_seconds:{quantile}_{self.window}"

    def ratio(self, figure: str) -> str:
        """Return a figure that labels give.

        precision, recall, roc_auc, calibration, flag or base: those of the module.
        """
        return f"model:fraud_truth_{figure}:ratio{self.window}"

    def expected(self, figure: str) -> str:
        """Return precision or recall as the scores expect it."""
        return f"model:fraud_expected_{figure}:ratio{self.window}"


def truth_groups(clock: Clock) -> tuple[Group, ...]:
    """Return the recording rules."""
    rules = [r for name in WINDOWS for r in _rules(Quality(name), clock(name))]
    # Shorter than the five minutes for which Prometheus takes a series to go on.
    return (Group("fraud-truth", "2m", tuple(rules)),)


def truth_alerts() -> Iterator[Alert]:
    """Yield the alerts about what labels say of a model, and whether they can."""
    yield from _quality_alerts()
    yield from _label_alerts()


def _quality_alerts() -> Iterator[Alert]:
    quality = Quality(ALERT_WINDOW)
    for figure, words in _FIGURES:
        live = quality.ratio(figure)
        behind = quality.flagged if figure == "precision" else quality.frauds
        forecast = f'max by (model_version) (fraud_forecast_ratio{{figure="{figure}"}})'
        enough = [
            f"{n} > {LEAST_FRAUDS}" for n in dict.fromkeys((quality.frauds, behind))
        ]
        yield Alert(
            "FraudQualityBelowForecast",
            f"{live} < {forecast} - {SHORTFALL}\n"
            f"  - {DEVIATIONS} * sqrt({forecast} * (1 - {forecast}) / {behind})\n"
            f"and {' and '.join(enough)}",
            "ticket",
            f"{words} of {{{{ $labels.model_version }}}} over {ALERT_WINDOW} is "
            "{{ $value }}, less than was forecast.",
            hold="1h",
            keep="1h",
            labels={"figure": figure},
        )


def _label_alerts() -> Iterator[Alert]:
    yield Alert(
        "FraudTruthDown",
        f'up{{job="{JOB}"}} == 0\n'
        f"or time() - fraud_truth_last_poll_timestamp_seconds > {STUCK_SECONDS}",
        "ticket",
        "{{ $labels.instance }} holds no scores against labels: it is down, or stuck.",
        hold="15m",
    )
    expected = Quality(WINDOWS[0]).expected_frauds
    yield Alert(
        "FraudLabelsMissing",
        f"{Quality(WINDOWS[0]).frauds}\n"
        f"< (1 - {MISSING_SHARE}) * {expected} - {DEVIATIONS} * sqrt({expected})\n"
        f"and {expected} > {LEAST_FRAUDS}",
        "ticket",
        "{{ $value }} frauds of a day of payments of {{ $labels.model_version }}, far "
        "fewer than its scores expect: labels are missing, or the scores are wrong.",
        hold="1h",
        keep="1h",
    )


def _rules(quality: Quality, length: str) -> Iterator[Recording]:
    yield from _counts(quality, length)
    precision = f"{quality.decisions}{{{_FLAGGED}, {_FRAUD}}}"
    hits = f"sum by (model_version) ({precision})"
    yield Recording(quality.ratio("precision"), f"{hits}\n/ ({quality.flagged} > 0)")
    yield Recording(quality.ratio("recall"), f"{hits}\n/ ({quality.frauds} > 0)")
    yield Recording(quality.ratio("roc_auc"), _auc(quality))
    yield Recording(
        quality.expected_frauds, _sum("fraud_truth_probability_sum_total", length)
    )
    yield Recording(
        quality.ratio("calibration"),
        f"{quality.expected_frauds}\n/ ({quality.frauds} > 0)",
    )
    for name, part in (("flag", quality.flagged), ("base", quality.frauds)):
        yield Recording(quality.ratio(name), f"{part}\n/ ({quality.payments} > 0)")
    yield from _expected(quality, length)
    yield from _labels(quality, length)


def _counts(quality: Quality, length: str) -> Iterator[Recording]:
    yield Recording(
        quality.bins,
        _sum("fraud_truth_payments_total", length, by="score_bin, label"),
    )
    yield Recording(
        quality.above, _sum("fraud_truth_frauds_above_total", length, by="score_bin")
    )
    yield Recording(
        quality.decisions,
        _sum("fraud_truth_decisions_total", length, by="decision, label"),
    )
    for name, matcher in (
        (quality.frauds, f"{{{_FRAUD}}}"),
        (quality.flagged, f"{{{_FLAGGED}}}"),
        (quality.payments, ""),
    ):
        yield Recording(name, f"sum by (model_version) ({quality.decisions}{matcher})")


def _auc(quality: Quality) -> str:
    genuine = f'{quality.bins}{{label="genuine"}}'
    on = "on (model_version, score_bin)"
    return (
        f"sum by (model_version) (\n"
        f"  {genuine}\n"
        f"  * {on} ({quality.above} + {on} 0.5 * {quality.bins}{{{_FRAUD}}})\n"
        f")\n"
        f"/ ((sum by (model_version) ({genuine}) * {quality.frauds}) > 0)"
    )


def _expected(quality: Quality, length: str) -> Iterator[Recording]:
    """Yield CBPE: of all payments that were scored, with or without a label."""
    sums = "fraud_score_probability_sum_total"
    hits = _sum(sums, length, f"{{{_FLAGGED}}}")
    flagged = _sum("fraud_events_scored_total", length, f"{{{_FLAGGED}}}")
    yield Recording(quality.expected("precision"), f"{hits}\n/ ({flagged} > 0)")
    yield Recording(quality.expected("recall"), f"{hits}\n/ ({_sum(sums, length)} > 0)")


def _labels(quality: Quality, length: str) -> Iterator[Recording]:
    """Yield what is to be known of the labels themselves."""
    scores = "fraud_truth_scores_total"
    yield Recording(
        quality.judged,
        f'sum (increase({scores}{{outcome="judged"}}[{length}]))\n'
        f'/ (sum (increase({scores}{{outcome!="repeated"}}[{length}])) > 0)',
    )
    buckets = f"increase(fraud_label_delay_seconds_bucket[{length}])"
    for name, share in (("median", 0.5), ("p95", 0.95)):
        yield Recording(
            quality.delay(name), f"histogram_quantile({share}, sum by (le) ({buckets}))"
        )


def _sum(counter: str, length: str, matcher: str = "", by: str = "") -> str:
    labels = f"model_version, {by}" if by else "model_version"
    return f"sum by ({labels}) (increase({counter}{matcher}[{length}]))"
