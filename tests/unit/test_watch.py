"""What `watch` shows is what the worker told between two looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.commanding import run_command
from tests.reference_builders import reference_of
from worker.commands import watch
from worker.commands.figures import Told, figures
from worker.config import Settings
from worker.drift import BinCounter, Reference, psi
from worker.errors import InvalidConfig
from worker.health import Endpoint, metrics_routes
from worker.metrics import (
    ModelFacts,
    Rebalance,
    WorkerMetrics,
    exposition,
    reference_exposition,
)
from worker.pipeline import BatchResult, PartitionResult, Rejected
from worker.records import Reason, TopicPartition

PLACE = TopicPartition("transactions", 3)
REFERENCE = reference_of(["amount", "hour"])


def new_metrics(reference: Reference | None = REFERENCE) -> WorkerMetrics:
    facts = ModelFacts("2018-07-31.1", "a" * 64, "b" * 64, 0.0, "c" * 64, reference)
    metrics = WorkerMetrics(
        facts, app_version="0", topics=["transactions"], now=lambda: 1000.0
    )
    metrics.rebalanced(Rebalance.ASSIGNED, [PLACE])
    metrics.set_lag(PLACE, 7, since=999.75, told_at=999.0)
    metrics.set_restore(PLACE, 0)
    return metrics


def commit(metrics: WorkerMetrics, X: Any = None) -> None:
    """600 scores of which 30 are flagged, all 20 ms after their record; 2 dead."""
    scored = np.full(600, 1_000_000)
    bins = None
    if X is not None:
        flagged = np.arange(600) < 30
        bins = BinCounter(REFERENCE).count(X, np.zeros(600), flagged)
    part = PartitionResult(
        epoch=1,
        next_offset=None,
        outputs=[],
        replayed=0,
        rejected=[Rejected(600 + i, 600 + i, Reason.NOT_JSON, None) for i in (0, 1)],
        flagged=30,
        late=0,
        duplicate=0,
        incomplete=0,
        timestamps_ms=np.append(scored, [1_000_000] * 2),
        scored_timestamps_ms=scored,
        bins=bins,
    )
    times = {"polled_at": 1_000.01, "committed_at": 1_000.02, "commit_seconds": 0.01}
    metrics.committed(BatchResult({PLACE: part}, {}), **times)


def told(metrics: WorkerMetrics, at: float = 0.0) -> Told:
    return Told.of(exposition(metrics)("")[0].decode(), at)


def reference_told(metrics: WorkerMetrics) -> Told:
    return Told.of(reference_exposition(metrics)("")[0].decode(), 0.0)


def shown(lines: list[str]) -> dict[str, str]:
    return {line[:14].strip(): line[14:] for line in lines}


def test_figures_are_those_of_the_time_between() -> None:
    metrics = new_metrics()
    commit(metrics)
    before = told(metrics)
    commit(metrics)
    metrics.was_busy(0.5)

    lines = figures(before, before, told(metrics, 2.0), reference_told(metrics))

    found = shown(lines)
    assert found["model"] == "2018-07-31.1"
    assert found["scores"] == "300 a second, 5.00% flagged (forecast 2.00%)"
    assert found["latency"] == "18 ms median, 20 ms 99 percent"
    assert found["load"].startswith("25% busy, ")
    assert found["lag"] == "7 messages in 1 partitions, 250 ms"
    assert found["dead letters"] == "2 not_json, 4 so far"
    assert found["drift"] == "not told before 500 scores"


def test_features_that_lie_far_from_training_come_first() -> None:
    metrics = new_metrics()
    first = told(metrics)
    X = np.random.default_rng(1).normal(10, 1, (600, 2))
    X[::10] = np.nan
    X[:, 1] += 1
    commit(metrics, X)

    lines = figures(first, first, told(metrics, 1.0), reference_told(metrics))

    baseline = REFERENCE.features["hour"]
    cells = BinCounter(REFERENCE).count(X, np.zeros(600), np.zeros(600, "?")).cells
    of_hour = cells[len(baseline.slots) : 2 * len(baseline.slots)]
    expected = psi(of_hour[None], baseline.ratios)[0]
    drift = shown(lines)["drift"]
    assert expected > 0.5
    assert drift.startswith(f"hour {expected:.3f}, (score) ")
    assert ", amount 0.0" in drift
    assert drift.endswith("(PSI since you watch)")


def test_an_idle_worker_has_no_latency_and_no_share() -> None:
    metrics = new_metrics()
    before = told(metrics)

    found = shown(figures(before, before, told(metrics, 1.0), reference_told(metrics)))

    assert found["scores"] == "0 a second"
    assert found["latency"] == "- median, - 99 percent"
    assert found["dead letters"] == "none, 0 so far"


def test_after_a_restart_counters_count_from_0() -> None:
    old, new = new_metrics(), new_metrics()
    commit(old)
    commit(old)
    commit(new)
    before = told(old)

    found = shown(figures(before, before, told(new, 1.0), reference_told(new)))

    assert found["scores"].startswith("600 a second")


def test_without_a_reference_nothing_is_said_of_drift() -> None:
    metrics = new_metrics(None)
    before = told(metrics)

    lines = figures(before, before, told(metrics, 1.0), reference_told(metrics))

    assert "drift" not in shown(lines)


# The command


@contextmanager
def serving(metrics: WorkerMetrics) -> Iterator[str]:
    routes = metrics_routes(exposition(metrics), reference_exposition(metrics))
    endpoint = Endpoint("127.0.0.1", 0, routes, setting="FRAUD_METRICS_PORT")
    try:
        yield f"http://127.0.0.1:{endpoint.port}"
    finally:
        endpoint.close()


def test_a_running_worker_is_watched(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(new_metrics()) as url:
        code = run_command(watch, Settings(), url, "--count", "2", "--interval", "0.01")

    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert code == 0
    assert [shown(block.splitlines())["model"] for block in blocks] == [
        *("2018-07-31.1", "2018-07-31.1")
    ]


def test_by_default_the_port_of_the_settings_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serving(new_metrics()) as url:
        settings = replace(Settings(), metrics_port=int(url.rpartition(":")[2]))
        run_command(watch, settings, "--count", "1", "--interval", "0.01")

    assert "2018-07-31.1" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:///etc/passwd", "nothing"])
def test_where_no_worker_answers_is_said(url: str) -> None:
    with pytest.raises(InvalidConfig, match=url):
        run_command(watch, Settings(), url, "--count", "1")


def test_another_server_is_no_worker() -> None:
    with serving(new_metrics()) as url, pytest.raises(InvalidConfig, match="no worker"):
        run_command(watch, Settings(), f"{url}/elsewhere", "--count", "1")
