"""The dashboard: made here, complete, and asking for metrics that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.files import generated
from deploy.files import recordings as groups_of_recordings
from deploy.panels import ROWS
from deploy.rules import Group, Recording, rules_text
from tests.conftest import ROOT
from tests.promtool import Scenario, metrics_in, promtool
from worker.metrics import CATALOGUE, REFERENCE_CATALOGUE, TRUTH_CATALOGUE

PATH = ROOT / "deploy" / "grafana" / "dashboards" / "fraud-worker.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TITLES = [panel["title"] for panel in PANELS]

#: Grafana's names of units that are used here.
UNITS = {"bytes", "ops", "percentunit", "s", "short"}

#: What a variable may stand for, to read the queries without Grafana.
VARIABLES = {
    "$__rate_interval": "5m",
    "$job": ".+",
    "$instance": ".+",
    "$feature": "amount",
}

#: Recorded over all instances, or told by the reference's job: no instance to choose.
FOR_ALL = re.compile(
    r"^(model|all)(:|_)|fraud_forecast_flag_ratio|fraud_forecast_ratio"
)


#: A metric, and what is asked of its labels.
SELECTOR = re.compile(r"\b((?:fraud|process)_\w+|[a-z_]+:[\w:]+)(\{[^}]*\})?")


def queries() -> Iterator[tuple[str, str]]:
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def recorded() -> set[str]:
    groups = groups_of_recordings()
    return {r.record for g in groups for r in g.rules if isinstance(r, Recording)}


def test_the_dashboard_is_what_is_generated() -> None:
    """To write it again: python -m deploy."""
    name = "grafana/dashboards/fraud-worker.json"

    assert PATH.read_text() == generated()[name]


def test_every_panel_is_there_under_a_title_of_its_own() -> None:
    assert [panel.title for row in ROWS for panel in row.panels] == TITLES
    assert len(set(TITLES)) == len(TITLES)
    rows = [p["title"] for p in DASHBOARD["panels"] if p["type"] == "row"]
    assert rows == [row.title for row in ROWS]


@pytest.mark.parametrize("panel", PANELS, ids=TITLES)
def test_every_panel_says_what_it_shows_and_in_which_unit(
    panel: dict[str, Any],
) -> None:
    assert len(panel["description"]) >= len("By reason.")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"]["uid"] == "${prometheus_datasource}"
    assert panel["targets"]
    names = [target["refId"] for target in panel["targets"]]
    assert len(set(names)) == len(names)
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${prometheus_datasource}"


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not own & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= own


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_every_metric_in_a_panel_exists(title: str, expr: str) -> None:
    told = CATALOGUE + REFERENCE_CATALOGUE + TRUTH_CATALOGUE
    histograms = {m.name for m in told if m.type == "histogram"}
    known = {metric.name for metric in told} | recorded()
    known |= {f"{n}_{part}" for n in histograms for part in ("bucket", "count", "sum")}

    names = metrics_in(expr) or set(re.findall(r"\bprocess_\w+", expr))

    assert names
    assert names - known <= {
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    }


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_job_and_instance_can_be_chosen(title: str, expr: str) -> None:
    for name, matchers in SELECTOR.findall(expr):
        if FOR_ALL.search(name):
            continue
        assert 'job=~"$job"' in matchers, name
        if not name.startswith(("job:", "job_reason:")):
            assert 'instance=~"$instance"' in matchers, name


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_counters_are_shown_as_rates_over_the_right_interval(
    title: str, expr: str
) -> None:
    counters = re.findall(r"(\w+) ?\(?\w+_total\{", expr)

    assert set(counters) <= {"rate", "increase"}
    assert set(re.findall(r"\[([^]]+)\]", expr)) <= {"$__rate_interval"}


def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    rules = []
    for number, (_, expr) in enumerate(queries()):
        for variable, value in VARIABLES.items():
            expr = expr.replace(variable, value)  # noqa: PLW2901
        rules.append(Recording(f"panel:{number}", expr))
    path = tmp_path / "panels.yml"
    path.write_text(rules_text([Group("panels", "1m", tuple(rules))]))

    code, said = promtool("check", "rules", path)

    assert code == 0, said
    assert f"{len(rules)} rules found" in said


def test_each_model_is_marked_when_it_begins(tmp_path: Path) -> None:
    """Also where the only worker takes it up, and no count changes."""
    *_, marks = DASHBOARD["annotations"]["list"]
    scenario = Scenario(tmp_path)
    worker = {"job": "fraud-worker", "instance": "a"}
    scenario.series("fraud_model_info", "1x60 stale", **worker, model_version="one")
    scenario.series("fraud_model_info", "_x60 1x60", **worker, model_version="two")

    expr = marks["expr"].replace("$job", ".+")
    for at, begun in (("3m", "one"), ("30m", None), ("63m", "two"), ("90m", None)):
        told = [{"model_version": begun}] if begun else []
        scenario.expect_told(at, expr, told)
    scenario.check()


def test_the_variables_are_those_of_the_queries() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}

    assert list(variables) == ["prometheus_datasource", "job", "instance", "feature"]
    assert variables["prometheus_datasource"]["label"] == "Prometheus data source"
    for name in ("job", "instance", "feature"):
        assert variables[name]["refresh"] == 2, "when the time changes"
    used = set(re.findall(r"\$(\w+)", " ".join(expr for _, expr in queries())))
    assert used - set(variables) == {"__rate_interval"}


def test_nobody_changes_the_dashboard_in_the_browser() -> None:
    provider = (
        ROOT / "deploy/grafana/provisioning/dashboards/fraud-worker.yaml"
    ).read_text()

    assert DASHBOARD["editable"] is False
    assert DASHBOARD["uid"] == "fraud-worker"
    assert "id" not in DASHBOARD
    assert "allowUiUpdates: false" in provider
