"""Draws sampled stacks of a program's main thread as a flame graph."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

_MAIN = "MainThread"

_WIDTH, _HEIGHT, _TOP, _MARGIN = 1400, 17, 46, 10

#: Of a letter, about; what does not fit is not written.
_LETTER = 6.2

#: Frames of a smaller share are not drawn.
_LEAST_SHARE = 0.0005


@dataclass(slots=True)
class Frame:
    """A function where it was called from, and the samples in which it was."""

    name: str
    samples: int = 0
    called: dict[str, Frame] = field(default_factory=dict)

    def add(self, names: list[str], samples: int) -> None:
        """Count a stack below this frame, outermost first."""
        frame = self
        frame.samples += samples
        for name in names:
            frame = frame.called.setdefault(name, Frame(name))
            frame.samples += samples


def main_thread(stacks: str) -> Frame:
    """Read lines `frame;frame;frame count`; only those of the main thread.

    What all samples have in common at the outside is left out.
    """
    root = Frame("all")
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        names = frames.split(";")
        if _MAIN in names[0]:
            root.add(names[1:], int(count))
    while len(root.called) == 1 and not _own(root):
        (root,) = root.called.values()
    return root


def flame_graph(stacks: str, title: str) -> str:
    """Return the image of stacks as SVG; a frame says its share when pointed at.

    Raises
    ------
    ValueError
        There are no samples of a main thread.
    """
    root = main_thread(stacks)
    if not root.samples:
        raise ValueError("the profiler has seen nothing of the main thread")
    boxes = list(_boxes(root, root.samples, 0.0, 0))
    height = _TOP + (1 + max(depth for _, _, depth in boxes)) * _HEIGHT + _MARGIN
    drawn = "\n".join(_drawn(*box, root.samples) for box in boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="Verdana, sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="{_MARGIN}" y="18" font-size="13">{escape(title)}</text>\n'
        f'<text x="{_MARGIN}" y="35" fill="#777777">{root.samples:,} samples; the '
        "wider a box, the more of the time; what it calls is below it</text>\n"
        f"{drawn}\n</svg>\n"
    )


def _own(frame: Frame) -> int:
    """Samples in which the frame itself was at work, not what it called."""
    return frame.samples - sum(called.samples for called in frame.called.values())


def _boxes(
    frame: Frame, whole: int, left: float, depth: int
) -> Iterator[tuple[Frame, float, int]]:
    """Yield frames, with the share left of where they begin, and their depth."""
    yield frame, left, depth
    for called in sorted(frame.called.values(), key=lambda each: -each.samples):
        if called.samples >= _LEAST_SHARE * whole:
            yield from _boxes(called, whole, left, depth + 1)
        left += called.samples / whole


def _drawn(frame: Frame, left: float, depth: int, whole: int) -> str:
    inner = _WIDTH - 2 * _MARGIN
    x, width = _MARGIN + left * inner, frame.samples / whole * inner
    y, share = _TOP + depth * _HEIGHT, 100 * frame.samples / whole
    own = 100 * _own(frame) / whole
    said = f"{frame.name}: {share:.1f} %, {own:.1f} % by itself"
    fits = int((width - 4) / _LETTER)
    label = frame.name if len(frame.name) <= fits else frame.name[: max(0, fits - 1)]
    text = f'<text x="{x + 3:.1f}" y="{y + 12}">{escape(label)}</text>' if label else ""
    return (
        f"<g><title>{escape(said)}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.5, 0.3):.1f}" '
        f'height="{_HEIGHT - 1}" fill="{_colour(frame.name)}" rx="1"/>{text}</g>'
    )


def _colour(name: str) -> str:
    """Return a warm colour, the same for all functions of a file."""
    file = name.partition("(")[2] or name
    hue = 10 + zlib.crc32(file.encode()) % 45
    return f"hsl({hue}, 85%, {68 + zlib.crc32(name.encode()) % 12}%)"
