"""Lets a test configure logging, and puts everything back afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logging_kept() -> Iterator[None]:
    """Restore handlers, levels and the capture of warnings at the end."""
    root, ours = logging.getLogger(), logging.getLogger("worker")
    before = list(root.handlers), root.level, ours.level
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:], root.level, ours.level = before
        root.manager._clear_cache()  # type: ignore[attr-defined] # levels are cached
