"""Rows about the model: what it sees, what it expects, and where it runs."""

from __future__ import annotations

from deploy.drift import SHORT_WINDOW, Window
from deploy.panels.parts import Panel, Query, Row, mine, rate
from deploy.panels.truth import TRUTH_PANELS

_HOUR = Window(SHORT_WINDOW)
_FLAGGED = 'decision="flagged"'
_REFERENCE = "model_feature_bin:fraud_feature_reference_ratio:max"

DRIFT = Row(
    "Drift",
    (
        Panel(
            "PSI over its critical value",
            "The ten features that differ most from training, over an hour; 1 is what "
            "chance and bursts hardly ever reach.",
            "short",
            (Query(f"topk(10, {_HOUR.psi} / {_HOUR.critical})", "{{feature}}"),),
        ),
        Panel(
            "Bins that make the PSI",
            "The ten terms (p - q) ln(p / q) that are largest, over an hour.",
            "short",
            (
                Query(
                    f"topk(10, ({_HOUR.ratio} - {_REFERENCE})\n"
                    f"  * ln({_HOUR.ratio} / {_REFERENCE}))",
                    "{{feature}} {{bin}}",
                ),
            ),
        ),
        Panel(
            "Shares of $feature by bin",
            "Live minus training, over an hour.",
            "percentunit",
            (
                Query(
                    f'{_HOUR.ratio}{{feature="$feature"}}\n'
                    f'- {_REFERENCE}{{feature="$feature"}}',
                    "{{bin}}",
                ),
            ),
        ),
        Panel(
            "Missing or unknown",
            "Share of the values over an hour, where there are any.",
            "percentunit",
            (Query(f"{_HOUR.absent} > 0", "{{feature}} {{bin}}"),),
        ),
    ),
)

QUALITY = Row(
    "Model quality",
    (
        Panel(
            "Flagged, and as forecast",
            "Share of the payments that is flagged, and that of the evaluation.",
            "percentunit",
            (
                Query(
                    "sum by (model_version) "
                    f"({rate('fraud_events_scored_total', _FLAGGED)})\n"
                    "/ sum by (model_version) "
                    f"({rate('fraud_events_scored_total')})",
                    "{{model_version}}",
                ),
                Query(
                    "max by (model_version) (fraud_forecast_flag_ratio)",
                    "{{model_version}} forecast",
                ),
            ),
        ),
        Panel(
            "Control group",
            "Share of the payments to be flagged that is let through to learn from: "
            "about what is set, or nothing.",
            "percentunit",
            (
                Query(
                    f"sum({rate('fraud_events_control_group_total')})\n"
                    f"/ (sum({rate('fraud_events_control_group_total')})\n"
                    f"   + sum({rate('fraud_events_scored_total', _FLAGGED)}) > 0)",
                    "let through",
                ),
            ),
        ),
        Panel(
            "Mean score",
            "What the model expects: the share of frauds among all payments.",
            "percentunit",
            (
                Query(
                    f"sum({rate('fraud_score_probability_sum_total')})\n"
                    f"/ sum({rate('fraud_events_scored_total')})",
                    "expected frauds",
                ),
            ),
        ),
        Panel(
            "Expected precision",
            "The share of frauds among flagged payments that the model expects: no "
            "label is needed, and a wrong model is wrong here too.",
            "percentunit",
            (
                Query(
                    "sum"
                    f"({rate('fraud_score_probability_sum_total', _FLAGGED)})\n"
                    "/ (sum"
                    f"({rate('fraud_events_scored_total', _FLAGGED)}) > 0)",
                    "precision",
                ),
            ),
        ),
        *TRUTH_PANELS,
    ),
)

RUNTIME = Row(
    "Runtime",
    (
        Panel(
            "Workers by model",
            "Instances that run each version.",
            "short",
            (
                Query(
                    f"count by (model_version) ({mine('fraud_model_info')})",
                    "{{model_version}}",
                ),
            ),
        ),
        Panel(
            "Age of the model",
            "Since the end of the data that it was trained on.",
            "s",
            (
                Query(
                    "time() - max by (model_version) "
                    f"({mine('fraud_model_trained_timestamp_seconds')})",
                    "{{model_version}}",
                ),
            ),
            "stat",
        ),
        Panel(
            "Memory",
            "Resident memory of each worker.",
            "bytes",
            (Query(mine("process_resident_memory_bytes"), "{{instance}}"),),
        ),
        Panel(
            "CPU",
            "Cores that each worker uses.",
            "short",
            (Query(rate("process_cpu_seconds_total"), "{{instance}}"),),
        ),
    ),
)
