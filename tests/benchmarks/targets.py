"""What must be reached, declared once; and how far from it a run was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: A run fails when a figure misses its bound by more than this share of it.
TOLERATED_MISS = 1 / 3

#: Begins the names of the figures of a loop that only copies.
FLOOR = "empty_loop_"


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and its bound.

    Attributes
    ----------
    figure
        As the benchmarks name it.
    text
        What it is, with its unit.
    """

    figure: str
    bound: Literal["at least", "at most"]
    value: float
    text: str

    def miss(self, found: float) -> float:
        """Return how far a figure is from the bound, as a share of it; 0 if met."""
        away = found - self.value if self.bound == "at most" else self.value - found
        return max(0.0, away / self.value)

    def line(self, found: float) -> str:
        """Return what a person is told of it."""
        miss = self.miss(found)
        percent = 100 * miss
        digits = 0 if percent >= 1 else 2
        verdict = "met" if not miss else f"missed by {percent:.{digits}f} %"
        bound = f"{self.bound} {_short(self.value)}"
        return f"{self.text:<64} {_short(found):>9}   {bound:<17} {verdict}"


_LATENCY = "event_to_score_milliseconds_at_1000_per_second"
_FAST = "event_to_score_milliseconds_at_50000_per_second"

TARGETS = (
    Target(
        "drain_events_per_second",
        *("at least", 150_000, "drain of a backlog by one core, events/s"),
    ),
    Target(f"{_LATENCY}_p50", "at most", 12, "event to score at 1,000/s: p50, ms"),
    Target(f"{_LATENCY}_p99", "at most", 40, "event to score at 1,000/s: p99, ms"),
    Target(f"{_LATENCY}_p99_9", "at most", 60, "event to score at 1,000/s: p99.9, ms"),
    Target(f"{_FAST}_p99", "at most", 80, "event to score at 50,000/s: p99, ms"),
    Target(
        "share_kept_up_with_at_50000_per_second",
        *("at least", 0.995, "scores that came for each payment sent at 50,000/s"),
    ),
    Target("cpu_cores_at_1000_per_second", "at most", 0.35, "CPU at 1,000/s, cores"),
    Target(
        "two_stage_drain_events_per_second",
        *("at least", 80_000, "two stages: drain by one core, events/s"),
    ),
    Target(
        f"two_stage_{_LATENCY}_p50",
        *("at most", 30, "two stages: event to score at 1,000/s: p50, ms"),
    ),
    Target(
        f"two_stage_{_LATENCY}_p99",
        *("at most", 60, "two stages: event to score at 1,000/s: p99, ms"),
    ),
    Target(
        "monitoring_and_snapshots_percent_of_cpu",
        *("at most", 15, "monitoring and snapshots together, % of CPU per event"),
    ),
    Target(
        "monitoring_percent_of_cpu",
        *("at most", 10, "monitoring alone, % of CPU per event"),
    ),
    Target("bytes_per_live_event", "at most", 64, "memory of a live event, bytes"),
    Target("bytes_per_key", "at most", 200, "memory of a key, bytes"),
    Target(
        "state_of_1000000_keys_with_60_events_gigabytes",
        *("at most", 5, "a million customers with 60 live events each, GB"),
    ),
    Target(
        "start_to_first_score_seconds",
        *("at most", 3, "start to the first score, warm compilation cache, s"),
    ),
    Target(
        "two_workers_over_one",
        *("at least", 1.6, "drain by two workers on two cores, over one"),
    ),
    Target(
        "curve_hot_key_10000_over_10",
        *("at most", 1.3, "CPU per event: 10,000 live events of a key, over 10"),
    ),
    Target(
        "curve_keys_1000000_over_1000",
        *("at most", 1.6, "CPU per event: 1e6 keys, over 1e3"),
    ),
)


def judged(medians: Mapping[str, float]) -> Iterator[tuple[Target, float]]:
    """Yield the targets whose figures there are, with these."""
    for target in TARGETS:
        if target.figure in medians:
            yield target, medians[target.figure]


def report(medians: Mapping[str, float]) -> list[str]:
    """Return a line for each target whose figure there is."""
    return [target.line(found) for target, found in judged(medians)]


def judgements(medians: Mapping[str, float]) -> list[dict[str, str | float]]:
    """Return the same for programs."""
    return [
        {
            "figure": target.figure,
            "text": target.text,
            "bound": target.bound,
            "value": target.value,
            "found": found,
            "missed_percent": round(100 * target.miss(found), 1),
        }
        for target, found in judged(medians)
    ]


def beside_floor(medians: Mapping[str, float]) -> list[str]:
    """Return a line for each target whose figure a loop that only copies has too."""
    return [
        f"{target.text:<64} {_short(found):>9}   {_short(medians[floor]):>9}   "
        f"{found / medians[floor]:.2f} times"
        for target, found in judged(medians)
        if (floor := FLOOR + target.figure) in medians
    ]


def far_off(medians: Mapping[str, float]) -> Sequence[str]:
    """Return the figures that miss their bound by more than is tolerated."""
    return [
        target.figure
        for target, found in judged(medians)
        if target.miss(found) > TOLERATED_MISS
    ]


def judge(
    medians: Mapping[str, float], where: Mapping[str, str], *, is_judged: bool
) -> int:
    """Print a line for each target; return the exit code.

    Parameters
    ----------
    where
        The machine and the commit.
    is_judged
        Whether a target that is far off makes it 1: on a quiet machine.
    """
    if not report(medians):
        return 0
    print(f"\ntargets, at commit {where['commit']} on {where['machine']}:")
    print("\n".join(report(medians)))
    if lines := beside_floor(medians):
        print("\nbeside a loop that only copies, exactly once, with the same client:")
        print("\n".join(lines))
    if not is_judged:
        print("not judged: the machine was busy, or the run a quick one")
        return 0
    return 1 if far_off(medians) else 0


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
