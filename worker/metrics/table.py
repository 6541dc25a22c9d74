"""The metrics as a table for people."""

from __future__ import annotations

from worker.metrics.catalogue import CATALOGUE, REFERENCE_CATALOGUE
from worker.metrics.truth_catalogue import TRUTH_CATALOGUE


def metrics_table() -> str:
    """Return the table of all metrics in Markdown, those of the worker first."""
    lines = ["| metric | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    for metric in CATALOGUE + REFERENCE_CATALOGUE + TRUTH_CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(
            f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} "
            f"| {metric.help} |"
        )
    return "\n".join(lines) + "\n"
