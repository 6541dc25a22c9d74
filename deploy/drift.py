"""The rules that tell live values from those of training.

All that they need are counters, so any window and any set of workers will do. For a
feature with B bins, shares q in training and n live values over a window:

    p = (count + q B/2) / (n + B/2)         shares, smoothed towards the reference
    PSI = sum (p - q) ln(p / q)
    null mean = (B - 1) (1/n + 1/m) d       of undrifted values; m rows in training, d
                                            the design effect that training measured
    critical = null mean * (1 - s + 4 sqrt(s))^3,  s = 2 / (9 (B - 1))

Sources: Yurdakul (2018) for the null law, Wilson and Hilferty (1931) for its quantile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.rules import Alert, Clock, Group, Recording, milliseconds
from worker.drift import MISSING, SCORE, UNKNOWN

#: Live values in a window below which no alert is raised.
LEAST_VALUES = 500

#: How much more PSI than undrifted values have is worth a ticket.
ALERT_PSI = 0.1

#: A share of missing values is a surge above so many times the reference's, plus this.
SURGE_FACTOR, SURGE_SHARE = 3, 0.01

#: A window is judged once it holds this share of its steps.
FULL_SHARE = 0.95

#: Shares below it do not count as a bin: nothing is expected there.
RARE_SHARE = "1e-4"

#: Windows over which values are compared, and the steps that the long ones add up.
SHORT_WINDOW, LONG_WINDOWS, STEP = "1h", ("1d", "7d"), "5m"

WINDOWS = (SHORT_WINDOW, *LONG_WINDOWS)

_BINS = "model_feature_bin:fraud_feature_values"
_VALUES = "model_feature:fraud_feature_values"
_RATIO = "model_feature_bin:fraud_feature_reference_ratio:max"
_BIN_COUNT = "model_feature:fraud_feature_bins:count"
_ON = "on (model_version, feature)"


@dataclass(frozen=True, slots=True)
class Window:
    """Names of the series that a window has."""

    name: str

    @property
    def counts(self) -> str:
        """Live values by bin."""
        return f"{_BINS}:increase{self.name}"

    @property
    def total(self) -> str:
        """Live values."""
        return f"{_VALUES}:increase{self.name}"

    @property
    def ratio(self) -> str:
        """Their smoothed shares."""
        return f"model_feature_bin:fraud_feature_ratio:smoothed{self.name}"

    @property
    def psi(self) -> str:
        """Population stability index."""
        return f"model_feature:fraud_feature_psi:{self.name}"

    @property
    def js(self) -> str:
        """Jensen-Shannon divergence, bits."""
        return f"model_feature:fraud_feature_js:{self.name}"

    @property
    def null_mean(self) -> str:
        """PSI that undrifted values have on average."""
        return f"model_feature:fraud_feature_psi_null_mean:{self.name}"

    @property
    def critical(self) -> str:
        """PSI that undrifted values hardly ever have."""
        return f"model_feature:fraud_feature_psi_critical:{self.name}"

    @property
    def absent(self) -> str:
        """Share of the values that are missing or unknown, by which."""
        return f"model_feature_bin:fraud_feature_absent:ratio{self.name}"

    @property
    def surge(self) -> str:
        """The same, only where it is a surge."""
        return f"model_feature_bin:fraud_feature_absent:surge{self.name}"

    @property
    def judged(self) -> str:
        """Live values, only of features that this window can be judged by."""
        return f"{_VALUES}:judged{self.name}"

    @property
    def seconds(self) -> int:
        """Its length."""
        return milliseconds(self.name) // 1_000


def drift_groups(clock: Clock, step_name: str = STEP) -> tuple[Group, ...]:
    """Return the recording rules.

    Parameters
    ----------
    step_name
        What the long windows add up; longer ones cost less and tell the same later.
    """
    short, step = Window(SHORT_WINDOW), Window(step_name)
    return (
        Group(
            "fraud-reference",
            "1m",
            (
                Recording(
                    _RATIO,
                    "max by (model_version, feature, bin) "
                    "(fraud_feature_reference_ratio)",
                ),
                Recording(
                    _BIN_COUNT,
                    f"count by (model_version, feature) ({_RATIO} > {RARE_SHARE})",
                ),
                *_comparison(short, _increase(clock(SHORT_WINDOW))),
                Recording(short.judged, _judged(short)),
            ),
        ),
        Group("fraud-drift-long", step.name, tuple(_long_windows(clock, step))),
    )


def _long_windows(clock: Clock, step: Window) -> Iterator[Recording]:
    """Yield the rules of the windows that add up steps.

    Reading every scrape of a week would take long. Half a step less than the window
    holds the same number of steps whether or not its ends belong to it.
    """
    yield Recording(step.counts, _increase(clock(step.name)))
    yield Recording(step.total, _total(step))
    for window in map(Window, LONG_WINDOWS):
        length = clock(f"{window.seconds - step.seconds // 2}s")
        yield from _comparison(window, f"sum_over_time({step.counts}[{length}])")
        # Half of a day is no day: its hours are not those of a whole one.
        count = FULL_SHARE * window.seconds / step.seconds
        yield Recording(
            window.judged,
            f"{_judged(window)}\n"
            f"and count_over_time({step.total}[{length}]) > {count:g}",
        )


def drift_alerts() -> Iterator[Alert]:
    """Yield the alerts about features and scores."""
    for name in WINDOWS:
        window = Window(name)
        for alert, matcher, what in (
            (
                "FraudFeatureDrift",
                f'feature!="{SCORE}"',
                "Values of {{ $labels.feature }}",
            ),
            ("FraudScoreDrift", f'feature="{SCORE}"', "The scores"),
        ):
            yield Alert(
                alert,
                _drifts(window, matcher),
                "ticket",
                f"{what} do not lie as in training: PSI {{{{ $value }}}} over {name}.",
                hold="15m",
                keep="30m",
                labels={"window": name},
            )
    yield Alert(
        "FraudMissingSurge",
        f"{Window(SHORT_WINDOW).surge}",
        "page",
        "{{ $value | humanizePercentage }} of {{ $labels.feature }} is "
        "{{ $labels.bin }}, far more than in training.",
        hold="10m",
    )
    yield Alert(
        "FraudReferenceMissing",
        "group by (model_version) (fraud_feature_values_total)\n"
        f"unless on (model_version) group by (model_version) ({_RATIO})",
        "ticket",
        "Nobody scrapes /metrics/reference of {{ $labels.model_version }}: "
        "its drift cannot be told.",
        hold="15m",
    )


def _increase(window: str) -> str:
    return (
        "sum by (model_version, feature, bin) "
        f"(increase(fraud_feature_values_total[{window}]))"
    )


def _total(window: Window) -> str:
    return f"sum by (model_version, feature) ({window.counts})"


def _judged(window: Window) -> str:
    """Return the condition for a feature to be judged by a window.

    The hour of the day is not judged by an hour: training says which window is long
    enough.
    """
    return (
        f"{window.total} > {LEAST_VALUES}\n"
        f"and {_ON} max by (model_version, feature) "
        f"(fraud_feature_reference_min_window_seconds) <= {window.seconds}"
    )


def _comparison(window: Window, counts: str) -> Iterator[Recording]:
    """Yield what compares the counts of a window with the reference."""
    p, q, bins = window.ratio, _RATIO, _BIN_COUNT
    yield Recording(window.counts, counts)
    yield Recording(window.total, _total(window))
    yield Recording(
        p,
        f"({window.counts}\n"
        f"  + on (model_version, feature, bin)\n"
        f"  {q} * {_ON} group_left () (0.5 * {bins}))\n"
        f"/ {_ON} group_left ()\n"
        f"({window.total} + 0.5 * {bins})",
    )
    yield Recording(
        window.psi, f"sum by (model_version, feature) (({p} - {q}) * ln({p} / {q}))"
    )
    yield Recording(
        window.js,
        f"  0.5 * sum by (model_version, feature) ({p} * log2(2 * {p} / ({p} + {q})))\n"
        f"+ 0.5 * sum by (model_version, feature) ({q} * log2(2 * {q} / ({p} + {q})))",
    )
    yield Recording(
        window.null_mean,
        f"({bins} - 1)\n"
        f"* (1 / ({window.total} > 0)\n"
        "   + 1 / max by (model_version, feature) (fraud_feature_reference_rows))\n"
        "* max by (model_version, feature) "
        f'(fraud_feature_reference_design_effect{{window="{window.name}"}})',
    )
    spread = f"2 / (9 * ({bins} - 1))"
    yield Recording(
        window.critical,
        f"{window.null_mean} * (1 - {spread} + 4 * sqrt({spread})) ^ 3",
    )
    yield from _absence(window)


def _absence(window: Window) -> Iterator[Recording]:
    """Yield the shares of values that are missing or unknown."""
    slots = f'bin=~"{MISSING}|{UNKNOWN}"'
    yield Recording(
        window.absent,
        f"{window.counts}{{{slots}}}\n/ {_ON} group_left ()\n({window.total} > 0)",
    )
    yield Recording(
        window.surge,
        f"({window.absent}\n"
        f"  > {SURGE_FACTOR} * {_RATIO}{{{slots}}} + {SURGE_SHARE})\n"
        f"and {_ON} {window.total} > {LEAST_VALUES}",
    )


def _drifts(window: Window, matcher: str) -> str:
    """Return the condition of an alert; its value is the PSI.

    A feature is judged by its shortest window that can be. What is missing has an alert
    of its own.
    """
    shorter = WINDOWS[: WINDOWS.index(window.name)]
    conditions = [
        f"{window.psi}{{{matcher}}} > {window.critical}",
        f"and ({window.psi} - {window.null_mean}) > {ALERT_PSI}",
        f"and {window.judged}",
        *(f"unless {Window(name).judged}" for name in shorter),
        f"unless {_ON} {window.surge}",
    ]
    return "\n".join(conditions)
