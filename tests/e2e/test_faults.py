"""A selection of `make faults`: each strikes for real, and nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.broker import KafkaBroker
from tests.faults.catalogue import FAULTS
from tests.faults.fault import Fault
from tests.faults.ground import Ground
from tests.faults.playing import play
from tests.faults.scene import Scene
from tests.faults.table import render
from tests.marks import customer

#: What other tests do not play already, and does not take long.
SELECTED = (
    "trimmed",
    "release",
    "giants",
    "bomb",
    "unreadable",
    "clock",
    "cut-late",
)

BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
def ground(
    kafka: KafkaBroker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with Ground(tmp_path_factory.mktemp("faults"), kafka) as made:
        yield made


@pytest.mark.parametrize("name", SELECTED)
def test_a_fault_loses_nothing_and_repeats_nothing(ground: Ground, name: str) -> None:
    fault = BY_NAME[name]

    row = play(fault, ground, rounds=fault.quick_rounds)

    assert row.problems == ()
    assert (row.missing, row.duplicated, row.out_of_order, row.different) == (0,) * 4
    assert row.struck >= fault.quick_rounds
    assert row.events > 0


def test_a_fault_that_never_strikes_fails_its_row(ground: Ground) -> None:
    def nothing_happens(scene: Scene, rounds: int) -> None:
        worker = scene.start()
        scene.traffic.write(100)
        worker.await_event("partition_live", scene.stream.partitions)

    fault = Fault(name="none", title="nothing", play=nothing_happens, rounds=1)

    row = play(fault, ground, rounds=1)

    assert row.problems == ("it struck 0 times, not 1",)
    assert "FAILED" in render([row])


def test_answers_that_are_lost_and_what_is_told_fail_their_row(ground: Ground) -> None:
    """One record more had to be answered than was there; the log names a customer."""

    def one_is_lost(scene: Scene, rounds: int) -> None:
        worker = scene.start()
        scene.traffic.write(100)
        scene.stream.await_answers(100)
        scene.inputs = {(0, 10**6)}
        with worker.log.open("a") as log:
            log.write(f"paid by {customer(17)}\n")
        scene.struck = rounds

    fault = Fault(name="lost", title="an answer is lost", play=one_is_lost, rounds=1)

    row = play(fault, ground, rounds=1)

    assert row.problems == (
        f"told: worker-0.log: {customer(17)}",
        "answered not once: 1 lost, 0 too many",
    )
