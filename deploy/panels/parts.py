"""What a dashboard is made of, and the expressions that its queries share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "heatmap"]


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are called; `{{label}}` is replaced."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `unit` is one of Grafana's names."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels about one question."""

    title: str
    panels: tuple[Panel, ...]


def mine(metric: str, *matchers: str) -> str:
    """Return a metric of the chosen workers."""
    inside = ", ".join(('job=~"$job"', 'instance=~"$instance"', *matchers))
    return f"{metric}{{{inside}}}"


def rate(metric: str, *matchers: str) -> str:
    """Return how fast a counter of the chosen workers grows."""
    return f"rate({mine(metric, *matchers)}[$__rate_interval])"


def increase(metric: str, *matchers: str) -> str:
    """Return how much a counter of the chosen workers has grown."""
    return f"increase({mine(metric, *matchers)}[$__rate_interval])"


def quantile(share: float, metric: str) -> str:
    """Return a quantile of a histogram over the chosen workers."""
    return f"histogram_quantile({share}, sum by (le) ({rate(f'{metric}_bucket')}))"
