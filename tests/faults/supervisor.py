"""Starts a worker again whenever it exits, as an init system would."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from typing import Self

from tests.faults.scene import Scene


class Supervisor:
    """Keeps one worker running; use it as a context manager. It leaves it running.

    Attributes
    ----------
    exits
        How often the worker ended with which code.
    """

    def __init__(self, scene: Scene, instance: str = "0"):
        self.exits: Counter[int] = Counter()
        self._scene = scene
        self._instance = instance
        self.worker = scene.start(instance)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def tell(self) -> str:
        """Return what happened in words."""
        if not self.exits:
            return "the worker went on by itself"
        codes = ", ".join(f"{n} times with {code}" for code, n in self.exits.items())
        return f"the worker exited {codes} and was restarted"

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                code = self.worker.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            self.exits[code] += 1
            self.worker = self._scene.start(self._instance)
