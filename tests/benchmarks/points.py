"""The points of the curves that need no broker, and the specs that they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tests.benchmarks.workload import bench_spec
from worker.features import Spec

#: The longest window, seconds. Minutes, not days: an event then makes an older one of
#: its key expire, as in a stream that has run for long, also where keys have few.
LONGEST_SECONDS = 1800

_WINDOWS = 'windows = ["1d", "7d", "30d"]'
_NAME = 'name = "bench"\n'


@dataclass(frozen=True, slots=True)
class Point:
    """What is measured, each at its usual value where a curve does not vary it.

    Attributes
    ----------
    per_key
        Live events of each key.
    windows
        How many there are; each has a count and a mean.
    columns
        Features besides those four that are no windows.
    flagged
        Share of the payments that are flagged, hence explained.
    """

    x: float
    series: str = ""
    batch: int = 4096
    keys: int = 5000
    per_key: int = 20
    windows: int = 3
    columns: int = 0
    trees: int = 100
    flagged: float = 0.0

    def spec(self) -> Spec:
        """Return the benchmarks' spec with so many windows and columns."""
        text, step = bench_spec().text, LONGEST_SECONDS / self.windows
        # The same proportions as a day, a week and a month, where there are three.
        ends = [60, 420, 1800]
        if self.windows != len(ends):
            ends = [round(step * (i + 1)) for i in range(self.windows)]
        named = ", ".join(f'"{seconds}s"' for seconds in ends)
        assert text.count(_WINDOWS) == 2
        text = text.replace(_WINDOWS, f"windows = [{named}]")
        text = text.replace(_NAME, f'{_NAME}allowed_lateness = "1s"\n', 1)
        return Spec.from_toml(text + "".join(map(_column, range(self.columns))))


def _column(number: int) -> str:
    name = f'name = "amount_up_to_{number + 10}"'
    return f'\n[[feature]]\n{name}\nfield = "amount"\nclip = [0, {number + 10}]\n'


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve: what varies along it, and its points."""

    title: str
    x_label: str
    points: Sequence[Point]
    is_log: bool = True


#: The last is the most that a worker takes at once.
_BATCHES = (1, 4, 16, 64, 256, 1024, 4096, 16_384)

_LIVE = (10, 100, 1000, 10_000)

#: Live events in all, where they are shared by fewer and fewer keys.
_SHARED = 100_000

#: By name.
CURVES: Mapping[str, Curve] = MappingProxyType(
    {
        "batch": Curve(
            "Cost against the size of a batch",
            "records in a batch",
            [Point(size, batch=size) for size in _BATCHES],
        ),
        "keys": Curve(
            "Cost against the number of keys, 20 live events each",
            "keys",
            [Point(n, keys=n) for n in (1000, 10_000, 100_000, 1_000_000)],
        ),
        "live": Curve(
            "Cost against live events of a key",
            "live events of a key",
            [
                *(
                    Point(n, "100,000 in all", keys=_SHARED // n, per_key=n)
                    for n in _LIVE
                ),
                *(Point(n, "one hot key", keys=1, per_key=n) for n in _LIVE),
            ],
        ),
        "windows": Curve(
            "Cost against the number of windows, a count and a mean over each",
            "windows",
            [Point(n, windows=n) for n in (1, 2, 3, 6, 12, 24)],
            is_log=False,
        ),
        "features": Curve(
            "Cost against the number of features, six of them windows",
            "features",
            [Point(10 + n, columns=n) for n in (0, 10, 30, 70, 150)],
            is_log=False,
        ),
        "trees": Curve(
            "Cost against the number of trees of 15 leaves",
            "trees",
            [Point(n, trees=n) for n in (10, 30, 100, 300, 1000)],
        ),
        "flagged": Curve(
            "Cost against the share of payments that are flagged and explained",
            "flagged payments, %",
            [Point(100 * s, flagged=s) for s in (0.0, 0.005, 0.01, 0.02, 0.03)],
            is_log=False,
        ),
    }
)
