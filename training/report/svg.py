"""Plots as SVG: a few marks on two axes, in the colours of the page.

Owns the shape of a plot. Colours are classes, so that light and dark are the page's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from training.report.scales import Scale

#: Pixels of a plot, and of the margins that its axes need.
WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 18, 26, 44

Point = tuple[float, float]


class Plot:
    """Marks on two axes; a later mark lies above an earlier one.

    Parameters
    ----------
    title
        Read out where the picture cannot be seen.
    """

    def __init__(
        self,
        title: str,
        x: Scale,
        y: Scale,
        *,
        x_label: str = "",
        y_label: str = "",
        height: int = HEIGHT,
        left: int = LEFT,
    ):
        self._title, self._x, self._y = title, x, y
        self._height, self._left = height, left
        self._marks: list[str] = []
        self._grid(x_label, y_label)

    def svg(self) -> str:
        """Return the plot as an element of a page."""
        marks = "".join(self._marks)
        return (
            f'<svg viewBox="0 0 {WIDTH} {self._height}" role="img" '
            f'aria-label="{escape(self._title)}">{marks}</svg>'
        )

    def line(self, points: Iterable[Point], style: str) -> None:
        """Join points."""
        self._add(f'<path class="line {style}" d="{self._path(points)}"/>')

    def area(self, points: Sequence[Point], style: str) -> None:
        """Fill what lies between points and the low end of the y axis."""
        (first, _), (last, _) = points[0], points[-1]
        floor = self._y.low
        path = self._path([(first, floor), *points, (last, floor)])
        self._add(f'<path class="area {style}" d="{path}Z"/>')

    def dot(
        self, point: Point, style: str, *, radius: float = 4, hint: str = ""
    ) -> None:
        """Mark a point; the hint appears under the pointer."""
        x, y = self._place(point)
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._add(
            f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
            f"{title}</circle>"
        )

    def stroke(self, start: Point, end: Point, style: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = self._place(start), self._place(end)
        self._add(
            f'<line class="{style}" x1="{x1:.1f}" y1="{y1:.1f}" '
            f'x2="{x2:.1f}" y2="{y2:.1f}"/>'
        )

    def band(self, first: float, last: float, style: str) -> None:
        """Shade a part of the x axis."""
        (x1, y1), (x2, _) = self._place((first, self._y.high)), self._place((last, 0))
        bottom = self._height - BOTTOM
        self._add(
            f'<rect class="band {style}" x="{x1:.1f}" y="{y1:.1f}" '
            f'width="{x2 - x1:.1f}" height="{bottom - y1:.1f}"/>'
        )

    def bar(self, row: float, value: float, style: str, hint: str) -> None:
        """Draw a lying bar from 0 to a value, half a row to either side."""
        (x1, y), (x2, _) = self._place((0, row)), self._place((value, row))
        self._add(
            f'<rect class="bar {style}" x="{min(x1, x2):.1f}" y="{y - 7:.1f}" rx="2" '
            f'width="{max(abs(x2 - x1), 0.5):.1f}" height="14">'
            f"<title>{escape(hint)}</title></rect>"
        )

    def words(
        self,
        point: Point,
        text: str,
        style: str = "note",
        *,
        dx: float = 0,
        dy: float = 0,
    ) -> None:
        """Write beside a point."""
        x, y = self._place(point)
        self._text(x + dx, y + dy, text, style)

    def _grid(self, x_label: str, y_label: str) -> None:
        bottom, right = self._height - BOTTOM, WIDTH - RIGHT
        for value, text in self._y.shown:
            _, y = self._place((self._x.low, value))
            self._add(f'<line class="grid" x1="{self._left}" y1="{y:.1f}" '
                      f'x2="{right}" y2="{y:.1f}"/>')  # fmt: skip
            self._text(self._left - 8, y + 4, text, "tick end")
        for value, text in self._x.shown:
            x, _ = self._place((value, self._y.low))
            self._add(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" '
                      f'x2="{x:.1f}" y2="{bottom}"/>')  # fmt: skip
            self._text(x, bottom + 18, text, "tick middle")
        self._text((self._left + right) / 2, self._height - 6, x_label, "label middle")
        self._text(self._left - 8, 13, y_label, "label")

    def _path(self, points: Iterable[Point]) -> str:
        places = (self._place(point) for point in points)
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)

    def _place(self, point: Point) -> Point:
        width, height = WIDTH - self._left - RIGHT, self._height - TOP - BOTTOM
        x = self._left + self._x.at(point[0]) * width
        return x, TOP + (1 - self._y.at(point[1])) * height

    def _text(self, x: float, y: float, text: str, style: str) -> None:
        if text:
            self._add(
                f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
            )

    def _add(self, mark: str) -> None:
        self._marks.append(mark)
