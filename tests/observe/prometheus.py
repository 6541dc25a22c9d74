"""A Prometheus of our own, with the rules that ship, made faster."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo import child
from demo.kafka_command import HOST, free_port
from deploy.files import alerts_text, recording_text
from deploy.rules import faster
from tests.waiting import wait_until

#: Labels of a series, sorted.
Labels = tuple[tuple[str, str], ...]

_START_SECONDS = 60.0

_CONFIGURATION = """
global:
  scrape_interval: 1s
  scrape_timeout: 1s
rule_files: ["*.rules.yml"]
scrape_configs:
  - job_name: fraud-worker
    static_configs: [{{targets: ["{worker}"]}}]
  - job_name: fraud-truth
    static_configs: [{{targets: ["{truth}"]}}]
  - job_name: fraud-worker-reference
    metrics_path: /metrics/reference
    scrape_interval: 5s
    scrape_timeout: 1s
    static_configs: [{{targets: ["{worker}"]}}]
"""


def unavailable() -> str | None:
    """Return why there is no Prometheus here; None if there is."""
    if shutil.which("prometheus"):
        return None
    return "prometheus is missing; it is Debian's package of that name"


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, port: int):
        self._port = port

    def is_ready(self) -> bool:
        """Say whether it answers."""
        try:
            with urllib.request.urlopen(
                f"http://{HOST}:{self._port}/-/ready", timeout=5
            ):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression gives now."""
        asked = urllib.parse.urlencode({"query": expr})
        with urllib.request.urlopen(
            f"http://{HOST}:{self._port}/api/v1/query?{asked}", timeout=30
        ) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def samples(self, series: str, over: str) -> dict[float, dict[Labels, float]]:
        """Return the values of some series over a time, by when they were recorded."""
        found: dict[float, dict[Labels, float]] = {}
        for each in self.query(f"{series}[{over}]"):
            labels = _labels(each["metric"])
            for at, value in each["values"]:
                found.setdefault(float(at), {})[labels] = float(value)
        return found

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire: the name, and the feature if there is one."""
        found = self.query("ALERTS{alertstate='firing'}")
        return {
            (each["metric"]["alertname"], each["metric"].get("feature", ""))
            for each in found
        }


@contextmanager
def running(
    directory: Path, worker: str, truth: str, factor: int
) -> Iterator[Prometheus]:
    """Start Prometheus with our rules, so many times faster, on these addresses."""
    directory.mkdir()
    configuration = _CONFIGURATION.format(worker=worker, truth=truth)
    (directory / "prometheus.yml").write_text(configuration)
    clock = faster(factor)
    (directory / "recording.rules.yml").write_text(recording_text(clock))
    (directory / "alerts.rules.yml").write_text(alerts_text(clock))
    port = free_port()
    with (directory / "log").open("wb") as log:
        process = child.spawn(
            [
                *("prometheus", f"--config.file={directory / 'prometheus.yml'}"),
                f"--storage.tsdb.path={directory / 'data'}",
                *(f"--web.listen-address={HOST}:{port}", "--log.level=warn"),
            ],
            output=log,
            errors=log,
        )
        try:
            asked = Prometheus(port)
            wait_until(asked.is_ready, what="Prometheus", seconds=_START_SECONDS)
            yield asked
        finally:
            process.terminate()
            process.wait()


def _labels(metric: Mapping[str, str]) -> Labels:
    return tuple(sorted((n, v) for n, v in metric.items() if n != "__name__"))
