"""Images of the curves, one file for each.

    python -m tests.benchmarks.plots

draws them again from build/bench/curves.json.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tests.benchmarks.output import BUILD

#: Colours that are told apart in print and by people who see no red.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_INK = "#222222"

_STYLE: Any = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.titlesize": 13,
    "figure.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "axes.axisbelow": True,
    "legend.frameon": False,
}

_COST = "µs of CPU an event"

Found = Mapping[str, Any]


def plot_all(content: Found) -> Iterator[Path]:
    """Draw every curve; yield where it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    foot = f"{content['machine']}; commit {content['commit']}, {content['date']}"
    if content["is_quick"]:
        foot = f"A QUICK RUN, with fewer keys and repetitions than it says; {foot}"
    for name, curve in content["curves"].items():
        with mpl.rc_context(_STYLE):
            figure = _on_kafka(curve) if "is_log" not in curve else _apart(curve)
            quiet = f"; others used {curve['foreign_cores']:.2f} cores"
            figure.text(0.01, 0.015, foot + quiet, fontsize=7, color="#777777")
            path = BUILD / f"curve-{name}.png"
            figure.savefig(path)
        yield path


def _figure(title: str) -> tuple[Figure, Axes, Axes]:
    """Return a figure with a title, room at its foot, and two panels."""
    figure = Figure(figsize=(10, 4.6))
    figure.suptitle(title, x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.09, right=0.92, bottom=0.17, top=0.85, wspace=0.22)
    return figure, left, right


def _apart(curve: Found) -> Figure:
    """The cost with its spread; and beside it what it is made of."""
    series = list(dict.fromkeys(point["series"] for point in curve["points"]))
    figure, left, right = _figure(curve["title"])
    for number, name in enumerate(series):
        points = [point for point in curve["points"] if point["series"] == name]
        _cost(left, points, name, number)
    _steps(right, [p for p in curve["points"] if p["series"] == series[0]])
    for axes in (left, right):
        _x_axis(axes, curve)
    left.set_title("the worker's pipeline: median, least and greatest")
    left.set_ylabel(_COST)
    which = f" ({series[0]})" if series[0] else ""
    right.set_title(f"what it is made of{which}")
    right.set_ylabel("share of the time, %")
    highest = max(max(point["runs"]) for point in curve["points"])
    lowest = min(min(point["runs"]) for point in curve["points"])
    if highest > 10 * lowest:
        left.set_yscale("log")
        left.set_ylim(lowest / 1.5, highest * 1.8)
        left.yaxis.set_major_formatter(FuncFormatter(_plain))
    else:
        left.set_ylim(0, highest * 1.15)
    if len(series) > 1:
        left.legend(loc="lower right")
    return figure


def _cost(axes: Axes, points: Sequence[Found], name: str, number: int) -> None:
    """A line with its spread; figures stand above the first line, below the next."""
    colour, x = _COLOURS[number], [point["x"] for point in points]
    medians = [statistics.median(point["runs"]) for point in points]
    low, high = ([f(p["runs"]) for p in points] for f in (min, max))
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, medians, "o-", color=colour, label=name, markersize=4)
    for at, cost in zip(x, medians, strict=True):
        axes.annotate(
            _plain(cost),
            *((at, cost), (3, -14 if number else 8)),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )


def _steps(axes: Axes, points: Sequence[Found]) -> None:
    """Shares of the steps, since their absolute size is beside it."""
    x, bottoms = [point["x"] for point in points], [0.0] * len(points)
    for step, colour in zip(points[0]["steps"], _COLOURS, strict=False):
        tops = [
            bottom + 100 * point["steps"][step] / sum(point["steps"].values())
            for bottom, point in zip(bottoms, points, strict=True)
        ]
        axes.fill_between(x, bottoms, tops, color=colour, alpha=0.8, linewidth=0)
        middle = (bottoms[-1] + tops[-1]) / 2
        axes.annotate(
            step,
            *((1.02, middle),),
            xycoords=("axes fraction", "data"),
            va="center",
            color=colour,
        )
        bottoms = tops
    axes.set_ylim(0, 100)
    axes.grid(visible=False)


def _x_axis(axes: Axes, curve: Found) -> None:
    if curve["is_log"]:
        axes.set_xscale("log")
    x = sorted({point["x"] for point in curve["points"]})
    axes.set_xticks(x, labels=[_plain(each) for each in x])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(curve["x_label"])


def _on_kafka(curve: Found) -> Figure:
    """Events a second; and beside it the CPU of the workers and of the broker."""
    figure, left, right = _figure(curve["title"])
    labels = [point["x"] for point in curve["points"]]
    places = range(len(labels))
    _bars(left, places, curve["points"], "rates", 0.5, _COLOURS[0])
    left.set_title("all workers together: median, least and greatest")
    left.set_ylabel("events a second")
    shifted = ([place + by for place in places] for by in (-0.19, 0.19))
    for key, name, colour, x in zip(
        *(("runs", "broker"), ("workers", "broker"), _COLOURS[:2], shifted),
        strict=True,
    ):
        _bars(right, x, curve["points"], key, 0.36, colour, name)
    right.set_title("CPU of the workers, and of the broker beside them")
    right.set_ylabel(_COST)
    right.legend(loc="upper center", ncols=2)
    right.set_ylim(0, right.get_ylim()[1] * 1.15)
    for axes in (left, right):
        axes.set_xticks(places, labels=labels)
        axes.set_xlabel(curve["x_label"])
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    return figure


def _bars(
    axes: Axes,
    x: Sequence[float] | range,
    points: Sequence[Found],
    key: str,
    width: float,
    colour: str,
    label: str = "",
) -> None:
    medians = [statistics.median(point[key]) for point in points]
    below = [m - min(p[key]) for m, p in zip(medians, points, strict=True)]
    above = [max(p[key]) - m for m, p in zip(medians, points, strict=True)]
    axes.bar(x, medians, width, color=colour, label=label)
    axes.errorbar(
        x, medians, [below, above], fmt="none", ecolor=_INK, elinewidth=1, capsize=3
    )
    for at, median, over in zip(x, medians, above, strict=True):
        axes.annotate(
            _plain(median),
            *((at, median + over), (0, 4)),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )


def _plain(number: float, _: int = 0) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    text = (BUILD / "curves.json").read_text(encoding="utf-8")
    for made in plot_all(json.loads(text)):
        print(made)
