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

_STYLE = {
    "figure.dpi": 110,
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
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
    for name, curve in content["curves"].items():
        with mpl.rc_context(_STYLE):
            figure = _on_kafka(curve) if "is_log" not in curve else _apart(curve)
            quiet = f"; others used {curve['foreign_cores']:.2f} cores"
            figure.text(0.01, 0.01, foot + quiet, fontsize=7, color="#777777")
            path = BUILD / f"curve-{name}.png"
            figure.savefig(path)
        yield path


def _apart(curve: Found) -> Figure:
    """The cost with its spread; and beside it what it is made of."""
    series = list(dict.fromkeys(point["series"] for point in curve["points"]))
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))  # type: ignore[union-attr, call-arg]
    left, right = figure.subplots(1, 2, sharex=True)
    for name, colour in zip(series, _COLOURS, strict=False):
        points = [point for point in curve["points"] if point["series"] == name]
        _cost(left, points, name, colour)
    _steps(right, [p for p in curve["points"] if p["series"] == series[0]])
    for axes in (left, right):
        _x_axis(axes, curve)
    left.set_title(curve["title"])
    left.set_ylabel(_COST)
    which = f": {series[0]}" if series[0] else ""
    right.set_title(f"What it is made of{which}")
    right.set_ylabel("share of the time, %")
    highest = max(max(point["runs"]) for point in curve["points"])
    lowest = min(min(point["runs"]) for point in curve["points"])
    if highest > 10 * lowest:
        left.set_yscale("log")
        left.yaxis.set_major_formatter(FuncFormatter(_plain))
    else:
        left.set_ylim(0, highest * 1.15)
    if len(series) > 1:
        left.legend(loc="lower right")
    return figure


def _cost(axes: Axes, points: Sequence[Found], name: str, colour: str) -> None:
    x = [point["x"] for point in points]
    medians = [statistics.median(point["runs"]) for point in points]
    low, high = ([f(p["runs"]) for p in points] for f in (min, max))
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, medians, "o-", color=colour, label=name, markersize=4)
    for at, cost in zip(x, medians, strict=True):
        axes.annotate(
            _plain(cost),
            *((at, cost), (0, 7)),
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
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))  # type: ignore[union-attr, call-arg]
    left, right = figure.subplots(1, 2)
    labels = [point["x"] for point in curve["points"]]
    places = range(len(labels))
    _bars(left, places, curve["points"], "rates", 0.5, _COLOURS[0])
    left.set_title(curve["title"])
    left.set_ylabel("events a second, all workers together")
    shifted = ([place + by for place in places] for by in (-0.19, 0.19))
    for key, name, colour, x in zip(
        *(("runs", "broker"), ("workers", "broker"), _COLOURS[:2], shifted),
        strict=True,
    ):
        _bars(right, x, curve["points"], key, 0.36, colour, name)
    right.set_title("CPU of workers and broker")
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
