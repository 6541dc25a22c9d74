"""Prometheus' own tool, which says what rules do with series."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.files import alerts_text, recording_text
from deploy.rules import Group, rules_text

#: Labels by which a firing alert is told from another.
TOLD_BY = (
    *("alertname", "window", "feature", "bin", "model_version"),
    *("job", "instance", "topic", "partition", "figure"),
)

Labels = Mapping[str, str]


def promtool(*arguments: str | Path, text: bytes = b"") -> tuple[int, str]:
    """Run it; return its exit code and what it says."""
    program = shutil.which("promtool")
    if program is None:
        sentence = "promtool is missing; it comes with Debian's package prometheus"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    done = subprocess.run(
        [program, *arguments], input=text, capture_output=True, check=False, timeout=120
    )
    return done.returncode, (done.stdout + done.stderr).decode()


class Scenario:
    """Series over time, and what the rules should make of them.

    Parameters
    ----------
    step
        Between two values of a series, and between two evaluations.
    every
        Between two evaluations, where it is another time.
    groups
        Groups of rules in the order of their evaluation; all that ship, in any order,
        unless given. Where evaluations are more than five minutes apart, what one
        group has recorded is old for another that comes before it.
    """

    def __init__(
        self,
        directory: Path,
        step: str = "1m",
        *,
        every: str | None = None,
        groups: Sequence[Group] = (),
    ):
        self._directory = directory
        self._step = step
        self._every = every or step
        self._groups = groups
        self._series: list[dict[str, str]] = []
        self._tests: list[dict[str, Any]] = []

    def series(self, name: str, values: str, **labels: str) -> None:
        """Add a series; values as promtool writes them: `0+2x60`, `1 _ 3x5`."""
        self._series.append({"series": _named(name, labels), "values": values})

    def expect_value(self, at: str, name: str, value: float, **labels: str) -> None:
        """Expect a series to have a value, to the twelfth place."""
        self._expect(
            at,
            f"abs({_named(name, labels)} - {value!r}) < bool 1e-12",
            [{"labels": _named("", labels), "value": 1}],
        )

    def expect_told(self, at: str, expr: str, series: Sequence[Labels]) -> None:
        """Expect an expression to give these series, whatever their values."""
        labels = sorted({label for each in series for label in each})
        self._expect(
            at,
            f"group by ({', '.join(labels)}) ({expr})",
            [{"labels": _named("", each), "value": 1} for each in series],
        )

    def expect_data(self, at: str, expr: str) -> None:
        """Expect an expression to give one series or several."""
        self._expect(at, f"count({expr}) > bool 0", [{"labels": "{}", "value": 1}])

    def expect_firing(self, at: str, alerts: Sequence[Labels]) -> None:
        """Expect these alerts to be firing, and no other."""
        self._expect(
            at,
            f"count by ({', '.join(TOLD_BY)}) (ALERTS{{alertstate='firing'}})",
            [{"labels": _named("", alert), "value": 1} for alert in alerts],
        )

    def expect_ever(self, until: str, states: str, alerts: Sequence[Labels]) -> None:
        """Expect these alerts at any time until then, and no other.

        Parameters
        ----------
        states
            Of the alerts, as a pattern: pending, firing or both.
        alerts
            By their name and feature.
        """
        self._expect(
            until,
            "group by (alertname, feature) "
            f"(count_over_time(ALERTS{{alertstate=~'{states}'}}[{until}]))",
            [{"labels": _named("", alert), "value": 1} for alert in alerts],
        )

    def _expect(self, at: str, expr: str, samples: list[dict[str, Any]]) -> None:
        self._tests.append({"expr": expr, "eval_time": at, "exp_samples": samples})

    def check(self) -> None:
        """Let promtool compare."""
        rules = {"recording.yml": recording_text(), "alerts.yml": alerts_text()}
        if self._groups:
            rules = {"rules.yml": rules_text(self._groups)}
        for name, text in rules.items():
            (self._directory / name).write_text(text)
        document = {
            "rule_files": list(rules),
            "evaluation_interval": self._every,
            "group_eval_order": [group.name for group in self._groups],
            "tests": [
                {
                    "interval": self._step,
                    "input_series": self._series,
                    "promql_expr_test": self._tests,
                }
            ],
        }
        path = self._directory / "scenario.yml"
        path.write_text(json.dumps(document))  # which is YAML too
        code, said = promtool("test", "rules", path)
        assert code == 0, said


#: What is a name in an expression but neither a function, nor a label, nor a keyword.
_METRIC = re.compile(r"\b[a-z_]+:[\w:]+|\bfraud_\w+")


def metrics_in(expr: str) -> set[str]:
    """Return the metrics that an expression reads."""
    return set(_METRIC.findall(expr))


def _named(name: str, labels: Labels) -> str:
    inside = ",".join(f"{label}={json.dumps(v)}" for label, v in labels.items())
    return f"{name}{{{inside}}}"
