"""Plays one fault: the load, the strikes, the audit, and the verdict."""

from __future__ import annotations

import statistics
import time
import traceback

from tests.faults.audit import Audit, audit
from tests.faults.fault import Fault, Row
from tests.faults.ground import Ground
from tests.faults.scene import Scene
from tests.marks import leaks_in

_NOTHING = Audit(0, 0, 0, 0, 0, ())


def play(fault: Fault, ground: Ground, *, rounds: int) -> Row:
    """Return the row of a fault; whatever goes wrong is a problem in it."""
    began = time.monotonic()
    with ground.scene(fault) as scene:
        found, problems = _NOTHING, list[str]()
        try:
            fault.play(scene, rounds)
        except Exception as error:  # noqa: BLE001 - the other rows are played, too
            problems.append(_told(error))
        try:
            found = audit(scene)
        except Exception as error:  # noqa: BLE001 - as above
            problems.append(f"no audit: {_told(error)}")
        problems += _leaks(scene)
        if scene.struck < rounds:
            problems.append(f"it struck {scene.struck} times, not {rounds}")
        if not found.events:
            problems.append("no event was audited")
        problems += found.problems
        return _row(fault, scene, rounds, found, problems, time.monotonic() - began)


def _row(
    fault: Fault,
    scene: Scene,
    rounds: int,
    found: Audit,
    problems: list[str],
    took_seconds: float,
) -> Row:
    seconds = scene.seconds
    return Row(
        fault=fault.name,
        title=fault.title,
        struck=scene.struck,
        wanted=rounds,
        events=found.events,
        missing=found.missing,
        duplicated=found.duplicated,
        out_of_order=found.out_of_order,
        different=found.different,
        seconds_median=round(statistics.median(seconds), 3) if seconds else None,
        seconds_worst=round(max(seconds), 3) if seconds else None,
        took_seconds=round(took_seconds, 1),
        notes=tuple(scene.notes),
        problems=tuple(problems),
    )


def _leaks(scene: Scene) -> list[str]:
    """Return what of payments is told to those who handle none."""
    try:
        return [f"told: {leak}" for leak in leaks_in(scene.stream.told())[:3]]
    except Exception as error:  # noqa: BLE001 - as above
        return [f"no scan: {_told(error)}"]


def _told(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.name}, line {frame.lineno}"
    return f"{type(error).__name__}: {str(error)[:600]} ({where}: {frame.line})"
