"""The common oracle: `fraud-worker verify`, and a count that knows nothing of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.faults.scene import Scene
from worker.errors import ExitCode

#: How long the workers may take to answer what is left, seconds.
_SETTLE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Audit:
    """What both found."""

    events: int
    missing: int
    duplicated: int
    out_of_order: int
    different: int
    problems: tuple[str, ...]


def audit(scene: Scene) -> Audit:
    """Audit a stream whose traffic has ended and whose workers run."""
    report, problems = _verify(scene)
    problems += _answered_once(scene)
    return Audit(
        events=report["events"],
        missing=report["missing"],
        duplicated=report["duplicated"],
        out_of_order=report["out_of_order"],
        different=report["different"],
        problems=tuple(problems),
    )


def _verify(scene: Scene) -> tuple[dict[str, Any], list[str]]:
    """Return the report, and what is wrong with it."""
    code, said = scene.stream.audit("--json", "--timeout", str(_SETTLE_SECONDS))
    report = json.loads(said)
    if code == ExitCode.OK:
        return report, []
    found = {name: n for name, n in report.items() if isinstance(n, int) and n}
    examples = [
        f"{e['finding']} {e['record']}: {e['what']}" for e in report["examples"]
    ]
    return report, [f"verify exited with {code}: {found} {examples[:3]}"]


def _answered_once(scene: Scene) -> list[str]:
    """Compare the answers with the inputs by nothing but their coordinates."""
    inputs = Counter(scene.stream.inputs() | scene.inputs)
    answers = scene.stream.answers()
    if answers == inputs:
        return []
    lost, extra = inputs - answers, answers - inputs
    return [f"answered not once: {len(lost)} lost, {len(extra)} too many"]
