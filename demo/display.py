"""Puts the view where it is looked at: a terminal that is redrawn, or lines.

The screen is drawn over itself on the terminal's second page, which neither flickers
nor minds another size; its last state stays on the first page.
"""

from __future__ import annotations

from contextlib import ExitStack
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from demo.tally import Snapshot
from demo.view import Scene, plain_line, screen

#: How often a line is written where there is no terminal, seconds.
_LINE_SECONDS = 5.0


class Display:
    """Shows what it is told: the screen again each time, a line now and then."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._closing = ExitStack()
        self._live: Live | None = None
        self._drawn = Text()
        self._written = monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            live = Live(console=self._console, screen=True, auto_refresh=False)
            self._live = self._closing.enter_context(live)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()
        if self._live is not None:
            self._console.print(self._drawn)

    def show(self, now: Snapshot, scene: Scene) -> None:
        """Redraw the screen; without one, write a line when it is time."""
        if self._live is not None:
            width, height = self._console.size
            self._drawn = screen(now, scene, width=width, height=height)
            self._live.update(self._drawn, refresh=True)
        elif monotonic() - self._written >= _LINE_SECONDS:
            self._written = monotonic()
            print(plain_line(now, scene), flush=True)
