"""Builds the dashboard of Grafana from what the panels say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.panels import ROWS, Kind, Panel, Query

#: Never changes, so that links to the dashboard last.
UID = "fraud-worker"

_SOURCE = DataSourceRef(type_val="prometheus", uid="${prometheus_datasource}")

_Builder = timeseries.Panel | stat.Panel | heatmap.Panel

_BUILDERS: Mapping[Kind, Callable[[], _Builder]] = {
    "timeseries": timeseries.Panel,
    "stat": stat.Panel,
    "heatmap": heatmap.Panel,
}

#: Of the 24 columns that a row has, and the height of a panel.
_SPAN, _HEIGHT = 8, 8


def dashboard_text() -> str:
    """Return the dashboard as the JSON that Grafana reads."""
    built = (
        dashboard.Dashboard("Fraud worker")
        .uid(UID)
        .description("What an engineer on call sees; docs/runbook.md has what to do.")
        .tags(["fraud-worker"])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .with_variable(_source_variable())
        .with_variable(_variable("job", "label_values(fraud_model_info, job)"))
        .with_variable(
            _variable(
                "instance", 'label_values(fraud_model_info{job=~"$job"}, instance)'
            )
        )
        .with_variable(
            _variable(
                "feature",
                "label_values(fraud_feature_values_total, feature)",
                is_multiple=False,
            )
        )
        .annotation(_rollouts())
    )
    for row in ROWS:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(_panel(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def _source_variable() -> dashboard.DatasourceVariable:
    return (
        dashboard.DatasourceVariable("prometheus_datasource")
        .label("Prometheus data source")
        .type("prometheus")
    )


def _variable(
    name: str, query: str, *, is_multiple: bool = True
) -> dashboard.QueryVariable:
    variable = (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .query(query)
        .datasource(_SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(is_multiple)
        .include_all(is_multiple)
    )
    return variable.all_value(".+") if is_multiple else variable


def _rollouts() -> dashboard.AnnotationQuery:
    """Mark the first five minutes of each model.

    Its count changes only where several workers take it up one after the other, so
    changes() would pass over most.
    """
    running = 'count by (model_version) (fraud_model_info{job=~"$job"}%s)'
    return (
        dashboard.AnnotationQuery()
        .name("Another model")
        .datasource(_SOURCE)
        .enable(enable=True)
        .icon_color("blue")
        .expr(f"{running % ''}\nunless {running % ' offset 5m'}")
    )


def _panel(panel: Panel) -> _Builder:
    builder = (
        _BUILDERS[panel.kind]()
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .span(_SPAN)
        .height(_HEIGHT)
    )
    for number, query in enumerate(panel.queries):
        builder = builder.with_target(_target(query, panel.kind, "ABCDEFG"[number]))
    return builder


def _target(query: Query, kind: Kind, name: str) -> Dataquery:
    target = Dataquery().expr(query.expr).ref_id(name).datasource(_SOURCE).range()
    if query.legend:
        target = target.legend_format(query.legend)
    if kind == "heatmap":
        target = target.format(PromQueryFormat.HEATMAP)
    return target
