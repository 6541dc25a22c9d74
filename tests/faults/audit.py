"""The common oracle: `fraud-worker verify`, and a count that knows nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.faults.scene import Scene

_VERIFY = "import sys; from worker.cli import main; sys.exit(main())"

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
    options = ["verify", "--json", "--timeout", str(_SETTLE_SECONDS)]
    done = subprocess.run(
        [sys.executable, "-c", _VERIFY, *options],
        env=scene.stream.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SETTLE_SECONDS + 120,
    )
    assert done.stdout, f"verify exited with {done.returncode}: {done.stderr[-500:]}"
    report = json.loads(done.stdout)
    if done.returncode == 0:
        return report, []
    found = {name: n for name, n in report.items() if isinstance(n, int) and n}
    examples = [
        f"{e['finding']} {e['record']}: {e['what']}" for e in report["examples"]
    ]
    return report, [f"verify exited with {done.returncode}: {found} {examples[:3]}"]


def _answered_once(scene: Scene) -> list[str]:
    """Compare the answers with the inputs by nothing but their coordinates."""
    inputs = Counter(scene.stream.inputs() | scene.inputs)
    answers = scene.stream.answers()
    if answers == inputs:
        return []
    lost, extra = inputs - answers, answers - inputs
    return [f"answered not once: {len(lost)} lost, {len(extra)} too many"]
